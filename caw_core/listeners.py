"""Those who are told what happens in a session's turns: watchers, displays, loggers."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from caw_core.chores import Chores
from caw_core.events import Event, Notice, RawOutput, TurnEnded, TurnStarted
from caw_core.growing import goes_on, piece_of, with_piece
from caw_core.sizes import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.chosen_listeners import ChosenListeners
    from caw_core.live_events import LiveEvents
    from caw_core.redaction import Redactor
    from caw_core.trajectory import SessionInfo, Turn

log = logging.getLogger("caw.session")

MOST_EVENTS: Final = 10_000
"""How many events wait to be told; what comes then is left out, and a notice says so."""

MOST_CHARACTERS: Final = 8 << 20
"""How much text may wait in them, in characters."""

LONGEST_PIECE: Final = 4096
"""How long a text grows before its next piece is told by itself, in characters."""

SETTLE_SECONDS: Final = 2.0
"""How long the end of a turn waits for its listeners at most; the end of a session, while they
take nothing."""

LEFT_OUT: Final = "{} events are left out here: the display or logger was too slow for them"

_telling = Chores("caw-listeners")


class TurnListener(Protocol):
    """Is told what happens in turns, as it happens.

    It is called in a thread that tells all listeners of the process, one call at a time and each
    turn's in order; pieces of one text that came meanwhile are one. What is slow in it holds other
    listeners up, and no turn. What it is told lacks the secrets that caw knows. One that raises is
    told nothing more of that session.
    """

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        """A turn begins; *turn* has its prompt. It may come again, with another index."""

    def show(self, session: SessionInfo, turn: int, event: Event) -> None:
        """Something happened in the turn with the index *turn*."""

    def end(self, session: SessionInfo, turn: Turn) -> None:
        """The turn came to its end, and is final."""


@attrs.frozen
class _Told:
    """One event on its way; ``turn`` is set at a turn's edges."""

    index: int
    event: Event
    turn: Turn | None


class Listeners:
    """One session's listeners. No turn waits for one of them, but at its end, for a moment.

    Args:
        info: gives the head of the session's record.
        live: tells those who watch from elsewhere, in a thread of its own.
        chosen: the others.
        redactor: takes the secrets out.
    """

    def __init__(
        self,
        info: Callable[[], SessionInfo],
        live: LiveEvents,
        chosen: ChosenListeners,
        redactor: Redactor,
    ) -> None:
        self._info = info
        self._live = live
        self._told = list(chosen.told)
        self._wanted = chosen.wanted
        self._redactor = redactor
        self._condition = threading.Condition()
        self._waiting: deque[_Told] = deque()
        self._size = 0
        self._left_out = 0
        self._at_work = False
        self._is_behind = False
        self._count = 0
        self._unsure: dict[int, Event] = {}

    def put(self, index: int, event: Event, turn: Callable[[], Turn | None]) -> None:
        """Tell everybody soon.

        Args:
            index: the turn's.
            event: what happened in it.
            turn: gives the turn as it is.
        """
        self._live.put(index, event)
        if isinstance(event, RawOutput) or not (self._told and self._wanted()):
            return
        edge = isinstance(event, TurnStarted | TurnEnded)
        told = _Told(index, event, turn() if edge else None)
        size = size_of(event)
        with self._condition:
            if self._waiting and self._join(index, event):
                return
            full = len(self._waiting) >= MOST_EVENTS or self._size + size > MOST_CHARACTERS
            if full and not edge:
                self._left_out += 1
                return
            if self._left_out:
                notice = Notice(message=LEFT_OUT.format(self._left_out), level="warning")
                self._waiting.append(_Told(index, notice, None))
                self._left_out = 0
            self._waiting.append(told)
            self._size += size
        _telling.add(self, 0)

    def _join(self, index: int, event: Event) -> bool:
        """Put a piece of a text to the one that waits last, if it goes on with that."""
        last = self._waiting[-1]
        if last.index != index or not goes_on(last.event, event):
            return False
        text, more = piece_of(last.event) or "", piece_of(event) or ""
        if len(text) + len(more) > LONGEST_PIECE:
            return False
        self._waiting[-1] = _Told(index, with_piece(event, text + more), None)
        self._size += len(more)
        return True

    def settle(self) -> None:
        """Wait for a moment until all that was put is told."""
        with self._condition:
            # One that was too slow once is not waited for at the end of every turn.
            if self._is_behind:
                return
            self._is_behind = not self._condition.wait_for(
                lambda: not self._waiting and not self._at_work, SETTLE_SECONDS
            )

    def close(self) -> None:
        """Wait until what is left is told, unless nothing moves; nothing more comes."""
        self._live.close()
        before = -1
        while before != self._count:
            before = self._count
            self._is_behind = False
            self.settle()
            if not self._is_behind:
                return

    def work(self) -> None:
        """Tell what waits; see `caw_core.chores.Worker`."""
        with self._condition:
            batch, self._waiting = self._waiting, deque()
            self._size = 0
            self._at_work = True
        try:
            session = self._info()
            for each in batch:
                turn = self._redactor.value(each.turn)
                self._count += 1
                for event in self._clean(each):
                    edge = isinstance(event, TurnStarted | TurnEnded)
                    self._tell(session, _Told(each.index, event, turn if edge else None))
        finally:
            with self._condition:
                self._at_work = False
                self._is_behind &= bool(self._waiting)
                self._condition.notify_all()

    def _tell(self, session: SessionInfo, each: _Told) -> None:
        for listener in list(self._told):
            try:
                if each.turn is None:
                    listener.show(session, each.index, each.event)
                elif isinstance(each.event, TurnStarted):
                    listener.begin(session, each.turn)
                else:
                    listener.end(session, each.turn)
            except BaseException:
                self._told.remove(listener)
                log.exception(
                    "session %s: %s failed and is told nothing more",
                    session.session_id,
                    type(listener).__name__,
                )

    def _clean(self, each: _Told) -> Iterator[Event]:
        """Yield the event without secrets, behind what of an earlier one could have become one."""
        unsure = self._unsure.pop(each.index, None)
        event = each.event
        if unsure is not None:
            if goes_on(unsure, event):
                event = with_piece(event, f"{piece_of(unsure)}{piece_of(event)}")
            else:
                yield self._redactor.value(unsure)
        text = piece_of(event)
        if text is not None:
            end = self._redactor.certain_length(text)
            if end < len(text):
                self._unsure[each.index] = with_piece(event, text[end:])
                event = with_piece(event, text[:end])
            if not end:
                return
        yield self._redactor.value(event)
