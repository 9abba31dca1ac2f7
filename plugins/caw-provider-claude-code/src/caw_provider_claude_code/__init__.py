"""caw provider for Claude Code."""

from caw_provider_claude_code.provider import ClaudeCodeProvider

__all__ = ["ClaudeCodeProvider"]
