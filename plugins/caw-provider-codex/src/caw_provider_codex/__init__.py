"""caw provider for OpenAI Codex."""

from caw_provider_codex.provider import CodexProvider

__all__ = ["CodexProvider"]
