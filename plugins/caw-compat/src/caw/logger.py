"""A logger as the wrapper takes it: any object with ``info``, ``warn`` and ``error``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from caw_core.event_log import check_logger

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


def unlabelled(logger: object) -> object:
    """Return a logger for caw-core whose lines begin with what happened, as the wrapper's did.

    A `logging.Logger`, which the wrapper did not take, gets caw-core's lines as they are.

    Raises:
        ValueError: it lacks a method.
    """
    checked = check_logger(logger)
    if isinstance(checked, AgentLogger) and not isinstance(
        checked, logging.Logger | logging.LoggerAdapter
    ):
        return _Unlabelled(checked)
    return checked


@dataclass(frozen=True)
class _Unlabelled:
    """Two of the same logger are equal, so that an agent with one stays the same agent."""

    target: AgentLogger

    def info(self, message: str) -> None:
        self.target.info(_without_label(message))

    def warn(self, message: str) -> None:
        self.target.warn(_without_label(message))

    def error(self, message: str) -> None:
        self.target.error(_without_label(message))


def _without_label(message: str) -> str:
    # Before it stand the provider and the beginning of the session's id, in brackets.
    return message.partition("] ")[2]
