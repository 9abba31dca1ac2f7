"""Who is told of a session's turns: its display, its logger, and the log of the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import attrs

from caw_core.display.choice import session_display
from caw_core.event_log import EventLog, logger_sink, record, records_wanted

if TYPE_CHECKING:
    from caw_core.listeners import TurnListener


@attrs.frozen
class ChosenListeners:
    """The listeners of one session.

    Attributes:
        told: them.
        wanted: tells whether one of them wants anything at the moment.
    """

    told: tuple[TurnListener, ...]
    wanted: Callable[[], bool]

    @classmethod
    def now(cls, display: TurnListener | None, logger: object) -> Self:
        """Choose those of a session that is opened now.

        Args:
            display: what its agent was given, checked.
            logger: the same.

        Raises:
            ConfigError: ``CAW_LOG`` names no mode.
        """
        told: list[TurnListener] = []
        shown = session_display(display)
        if shown is not None:
            told.append(shown)
        if logger is not None:
            told.append(EventLog(logger_sink(logger), subagents=True))
        # A program may configure its logging at any time, so this one is always there.
        wanted = (lambda: True) if told else records_wanted
        # A subagent's records are those of its own session.
        return cls((*told, EventLog(record, subagents=False)), wanted)
