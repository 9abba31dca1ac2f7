"""One turn at a time, in the order in which they were asked for."""

from __future__ import annotations

import threading
from collections import deque

from caw_core.errors import SessionStateError


class TurnQueue:
    """Hands a session to one turn after another, first come, first served."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: deque[object] = deque()
        self._closed = False

    def join(self) -> object:
        """Take a place and return the ticket for it; does not block.

        Raises:
            SessionStateError: the session has ended.
        """
        with self._condition:
            self._check()
            ticket = object()
            self._waiting.append(ticket)
            return ticket

    def wait(self, ticket: object) -> None:
        """Block until it is this ticket's turn.

        Raises:
            SessionStateError: the session ended first, or the ticket was given back.
        """
        with self._condition:
            while self._waiting and self._waiting[0] is not ticket and ticket in self._waiting:
                self._condition.wait()
            if ticket not in self._waiting:
                self._check()
                msg = "the turn was interrupted before it began"
                raise SessionStateError(msg)

    def leave(self, ticket: object) -> None:
        """Give the place back, used or not."""
        with self._condition:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._closed

    def close(self) -> None:
        """Send everybody away who still waits, and let nobody else in."""
        with self._condition:
            self._closed = True
            while len(self._waiting) > 1:
                self._waiting.pop()
            self._condition.notify_all()

    def _check(self) -> None:
        if self._closed:
            msg = "the session has ended; start a new one, or resume it with its handle"
            raise SessionStateError(msg)
