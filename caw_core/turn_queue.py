"""One turn at a time, in the order in which they were asked for, or begun by the agent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caw_core.errors import SessionStateError

if TYPE_CHECKING:
    from caw_core.provider import Prompt


class Ticket:
    """A place in the queue.

    Attributes:
        prompt: what the turn sends; None for one that the agent began, and for what is no turn.
        begun: whether it was let in.
    """

    def __init__(self, prompt: Prompt | None = None) -> None:
        self.prompt = prompt
        self.begun = False


class TurnQueue:
    """Hands a session to one turn after another, first come, first served.

    A turn that the agent began goes before those whose prompt it has not taken up, even where
    such a prompt was let in and sent already.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[Ticket] = []
        self._closed = False

    def join(self, ticket: Ticket) -> None:
        """Take the last place; does not block.

        Raises:
            SessionStateError: the session has ended.
        """
        with self._condition:
            self._check()
            self._waiting.append(ticket)

    def join_after(self, prompt: Prompt | None, ticket: Ticket) -> None:
        """Take the place of a turn that the agent began after it had taken up *prompt*.

        Raises:
            SessionStateError: the session has ended.
        """
        with self._condition:
            self._check()
            place = 0
            for before in self._waiting:
                taken_up = before.begun and before.prompt is prompt
                if before.prompt is not None and not taken_up:
                    break
                place += 1
            self._waiting.insert(place, ticket)

    def wait(self, ticket: Ticket) -> None:
        """Block until it is this ticket's turn.

        Raises:
            SessionStateError: the session ended first, or the ticket was given back.
        """
        with self._condition:
            while ticket in self._waiting and self._waiting[0] is not ticket:
                self._condition.wait()
            if ticket not in self._waiting:
                self._check()
                msg = "the turn was interrupted before it began"
                raise SessionStateError(msg)
            ticket.begun = True

    def leave(self, ticket: Ticket) -> None:
        """Give the place back, used or not."""
        with self._condition:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._condition.notify_all()

    def close(self) -> None:
        """Send everybody away who still waits, and let nobody else in."""
        with self._condition:
            self._closed = True
            self._waiting = [ticket for ticket in self._waiting if ticket.begun]
            self._condition.notify_all()

    def _check(self) -> None:
        if self._closed:
            msg = "the session has ended; start a new one, or resume it with its handle"
            raise SessionStateError(msg)
