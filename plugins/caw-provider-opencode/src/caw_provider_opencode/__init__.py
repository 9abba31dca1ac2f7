"""caw provider for opencode."""

from caw_provider_opencode.provider import OpencodeProvider

__all__ = ["OpencodeProvider"]
