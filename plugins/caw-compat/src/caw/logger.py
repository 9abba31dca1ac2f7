"""A logger as the wrapper takes it: any object with ``info``, ``warn`` and ``error``."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["AgentLogger"]


@runtime_checkable
class AgentLogger(Protocol):
    """What gets one line for each thing that happens in a turn."""

    def info(self, message: str) -> None:
        """Take a line."""

    def warn(self, message: str) -> None:
        """Take a line about something unexpected."""

    def error(self, message: str) -> None:
        """Take a line about a failure."""
