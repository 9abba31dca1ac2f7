"""caw provider for a small language model on this machine."""

from caw_provider_local.provider import LocalProvider

__all__ = ["LocalProvider"]
