"""What a running session does, told to other processes through its storages."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.chores import Chores
from caw_core.events import Event, RawOutput
from caw_core.growing import goes_on, piece_of, with_piece
from caw_core.sizes import size_of
from caw_core.storage import LiveEvent

if TYPE_CHECKING:
    from caw_core.plugins import AgentPlugins
    from caw_core.redaction import Redactor

log = logging.getLogger("caw.storage")

FLUSH_SECONDS: Final = 0.1
"""How often a session publishes at most, in seconds."""

REST_SECONDS: Final = 5.0
"""How long a session publishes nothing after a storage refused it, in seconds."""

MOST_EVENTS: Final = 1000
"""How many events wait to be published; then the oldest are left out, which their numbers show."""

MOST_CHARACTERS: Final = 4 << 20
"""How much text may be in them; a storage that is slower than the agent must not fill memory."""

LARGEST: Final = 1 << 20
"""How large an event may be to be published, in characters."""

LONGEST_TEXT: Final = 64 * 1024
"""How long a text grows before its next piece is an event of its own, in characters."""

_publishing = Chores("caw-live-events")


class LiveEvents:
    """One session's events on their way to those who watch it.

    Pieces of one text are put together. No turn waits for a storage here.

    Args:
        session_id: the session.
        plugins: its storages.
        redactor: takes the secrets out; a secret that comes in pieces, too.
    """

    def __init__(self, session_id: str, plugins: AgentPlugins, redactor: Redactor) -> None:
        self._session_id = session_id
        self._plugins = plugins
        self._redactor = redactor
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: deque[LiveEvent] = deque()
        self._size = 0
        self._turn = -1
        self._next_number = 0
        self._failed = False

    def put(self, turn: int, event: Event) -> None:
        """Publish an event of a turn soon.

        Args:
            turn: the turn's index.
            event: what happened.
        """
        if not self._plugins.publishes or isinstance(event, RawOutput):
            return
        with self._lock:
            if turn != self._turn:
                self._turn, self._next_number = turn, 0
            if size_of(event) > LARGEST:
                # Whoever watches sees by the numbers that one is missing, and has the record.
                self._next_number += 1
            elif not self._join(turn, event):
                self._append(event)
        _publishing.add(self, FLUSH_SECONDS)

    def close(self) -> None:
        """Publish what is left; nothing more comes."""
        _publishing.remove(self)
        self._send(whole=True)

    def work(self) -> float | None:
        """Publish what there is; see `caw_core.chores.Worker`."""
        if not self._send():
            return REST_SECONDS
        with self._lock:
            return FLUSH_SECONDS if self._waiting else None

    def _join(self, turn: int, event: Event) -> bool:
        """Put *event* to the text that waits last, if it goes on with that."""
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.turn != turn or not goes_on(last.event, event):
            return False
        text, more = piece_of(last.event) or "", piece_of(event) or ""
        if len(text) + len(more) <= LONGEST_TEXT:
            self._waiting[-1] = _with(last, text + more)
            self._size += len(more)
            return True
        end = self._redactor.certain_length(text)
        self._waiting[-1] = _with(last, text[:end])
        self._size -= len(text) - end
        self._append(with_piece(event, text[end:] + more))
        return True

    def _append(self, event: Event) -> None:
        self._size += size_of(event)
        while self._waiting and (len(self._waiting) >= MOST_EVENTS or self._size > MOST_CHARACTERS):
            self._size -= size_of(self._waiting.popleft().event)
        live = LiveEvent(turn=self._turn, number=self._next_number, event=event)
        self._next_number += 1
        self._waiting.append(live)

    def _send(self, *, whole: bool = False) -> bool:
        """Hand over what waits; tell whether the storages took it."""
        with self._sending:
            with self._lock:
                events = list(self._waiting)
                self._waiting.clear()
                self._size = 0
                if events and not whole:
                    events[-1:] = self._parted(events[-1])
            if not events:
                return True
            try:
                clean = [attrs.evolve(e, event=self._redactor.value(e.event)) for e in events]
                self._plugins.publish_events(self._session_id, clean)
            except Exception as error:  # noqa: BLE001 - whatever it is, the turn goes on
                if not self._failed:
                    self._failed = True
                    log.warning("session %s cannot be watched: %s", self._session_id, error)
                return False
            return True

    def _parted(self, last: LiveEvent) -> list[LiveEvent]:
        """Return what of the last event may go; the rest goes on waiting."""
        text = piece_of(last.event) or ""
        end = self._redactor.certain_length(text)
        if end == len(text):
            return [last]
        if not end:
            self._waiting.append(last)
            self._size += size_of(last.event)
            return []
        self._append(with_piece(last.event, text[end:]))
        return [_with(last, text[:end])]


def _with(live: LiveEvent, text: str) -> LiveEvent:
    return attrs.evolve(live, event=with_piece(live.event, text))
