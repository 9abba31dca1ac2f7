"""The provider for Claude Code, under the wrapper's name for it."""

from __future__ import annotations

from typing import ClassVar

from caw.providers import CoreProvider

__all__ = ["ClaudeCodeProvider"]


class ClaudeCodeProvider(CoreProvider):
    """caw-core's provider ``claude_code``."""

    core_name: ClassVar[str] = "claude_code"
