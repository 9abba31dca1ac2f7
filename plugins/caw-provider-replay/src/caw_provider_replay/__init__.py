"""caw provider that plays recorded conversations again."""

from caw_provider_replay.provider import ReplayProvider

__all__ = ["ReplayProvider"]
