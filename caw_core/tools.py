"""Which kinds of tools an agent may have."""

from __future__ import annotations

import enum


class ToolGroup(enum.Flag):
    """Kinds of tools, for use as an allow-list: what is not named is not there.

    Combine with ``|`` and take away with ``-``::

        Agent("claude_code", tools=ToolGroup.READER | ToolGroup.WEB)
        Agent("claude_code", tools=ToolGroup.ALL - ToolGroup.EXEC)
    """

    READER = enum.auto()
    """Read and search files."""
    WRITER = enum.auto()
    """Change files."""
    EXEC = enum.auto()
    """Run commands."""
    WEB = enum.auto()
    """Search and fetch on the web."""
    PARALLEL = enum.auto()
    """Start subagents and background work."""
    INTERACTION = enum.auto()
    """Ask the user."""

    ALL = READER | WRITER | EXEC | WEB | PARALLEL | INTERACTION
    NO_INTERACTION = READER | WRITER | EXEC | WEB | PARALLEL

    def __sub__(self, other: ToolGroup) -> ToolGroup:
        """Return these groups without *other*."""
        return self & ~other


class ModelTier(enum.Enum):
    """A model by what it is wanted for; each provider names its own."""

    STRONGEST = "strongest"
    FAST = "fast"
