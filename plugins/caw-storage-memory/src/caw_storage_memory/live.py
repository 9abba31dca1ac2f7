"""The last events of each session, for those who follow it."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_EVENTS: Final = 1000
MOST_BYTES: Final = 4 << 20
"""How much of a running session is kept."""

LAST_BYTES: Final = 64 << 10
LAST_SECONDS: Final = 60.0
"""How much of one that has ended is kept, and for how long at least."""


@attrs.define
class _Events:
    kept: deque[tuple[tuple[int, int], str]] = attrs.field(factory=deque)
    size: int = 0

    def add(self, live: LiveEvent) -> None:
        text = json.dumps(event_to_dict(live.event))
        self.kept.append((live.place, text))
        self.size += len(text)
        self.trim(MOST_BYTES)

    def trim(self, most_bytes: int) -> None:
        while len(self.kept) > 1 and (len(self.kept) > MOST_EVENTS or self.size > most_bytes):
            _, text = self.kept.popleft()
            self.size -= len(text)

    def after(self, place: tuple[int, int], limit: int) -> list[LiveEvent]:
        found = [(at, text) for at, text in self.kept if at > place][:limit]
        return [
            LiveEvent(turn=turn, number=number, event=event_from_dict(json.loads(text)))
            for (turn, number), text in found
        ]


class LiveEvents:
    """What running sessions do; safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._by_id: dict[str, _Events] = {}
        self._ended: deque[tuple[float, str, _Events]] = deque()

    def publish(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Take events, and wake those who wait for them."""
        with self._changed:
            held = self._by_id.setdefault(session_id, _Events())
            for live in events:
                held.add(live)
            self._changed.notify_all()

    def read(
        self, session_id: str, place: tuple[int, int], limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        """Return those after *place*, and wait for the first one if need be."""
        found: list[LiveEvent] = []

        def look() -> bool:
            held = self._by_id.get(session_id)
            found.extend(held.after(place, limit) if held else ())
            return bool(found)

        with self._changed:
            self._changed.wait_for(look, wait_seconds)
        return found

    def end(self, session_id: str) -> None:
        """Keep only the last events of a session that has ended, and none of older ones."""
        with self._changed:
            now = time.monotonic()
            while self._ended and self._ended[0][0] < now - LAST_SECONDS:
                _, name, held = self._ended.popleft()
                if self._by_id.get(name) is held:
                    del self._by_id[name]
            ended = self._by_id.get(session_id)
            if ended is not None:
                ended.trim(LAST_BYTES)
                self._ended.append((now, session_id, ended))

    def drop(self, session_id: str) -> None:
        """Forget the events of a session."""
        with self._changed:
            self._by_id.pop(session_id, None)
