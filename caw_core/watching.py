"""Following a session that runs in another process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

import attrs

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.storage import LiveEvent, TurnRange, place_of
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from caw_core.store import Store

WAIT_SECONDS = 1.0
"""How long a storage is asked to wait for an event, before the session is looked at, in seconds."""

BATCH = 500
"""How many events are read at a time."""


@attrs.frozen(kw_only=True)
class Gap:
    """Events that are not to be had any more; the record has what came of them.

    Attributes:
        after: the cursor of the last event before them, ``""`` if there was none.
        before: the turn and number of the first event after them.
    """

    after: str
    before: tuple[int, int]


class Watch:
    """The events of a running session, for iteration with ``for`` or ``async for``.

    It ends when the session was ended and all is told. Where somebody falls so far behind that
    events are gone, a `Gap` stands in their place.

    Args:
        store: where the session is recorded.
        session_id: the session.
        from_cursor: the cursor after which to begin; ``""`` for the oldest event that is there.

    Attributes:
        cursor: where to go on, for another watch.
    """

    def __init__(self, store: Store, session_id: str, from_cursor: str) -> None:
        self._store = store
        self._session_id = session_id
        self._place = place_of(from_cursor)
        self._started = bool(from_cursor)
        self._waiting: deque[LiveEvent | Gap] = deque()
        self.cursor = from_cursor
        if store.load(session_id, TurnRange(last=0)) is None:
            msg = f"no storage has a session {session_id!r}"
            raise ConfigError(msg)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LiveEvent | Gap:
        """Wait for the next event."""
        while not self._waiting:
            if not self._read():
                raise StopIteration
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveEvent | Gap:
        """Wait for the next event."""
        while not self._waiting:
            if not await call_in_thread(self._read):
                raise StopAsyncIteration
        return self._take()

    def _take(self) -> LiveEvent | Gap:
        found = self._waiting.popleft()
        if isinstance(found, LiveEvent):
            self.cursor = found.cursor
        return found

    def _read(self) -> bool:
        """Wait a while for events; return False if no more will come."""
        # In this order: what was published before the end is there when the end is seen.
        ended = self._has_ended()
        wait_seconds = 0.0 if ended else WAIT_SECONDS
        events = self._store.records.read_events(self._session_id, self.cursor, BATCH, wait_seconds)
        if events is None:
            msg = "none of these storages publishes the events of running sessions"
            raise UnsupportedError(msg, options=("read_events",))
        for event in events:
            self._add(event)
        return bool(events) or not ended

    def _add(self, event: LiveEvent) -> None:
        turn, number = self._place
        if event.place <= self._place:
            return
        following = {(turn, number + 1)}
        if number >= 0:
            # A turn whose writer was killed has no end.
            following.add((turn + 1, 0))
        if self._started and event.place not in following:
            self._waiting.append(Gap(after=self.cursor, before=event.place))
        self._started = True
        self._place = place_of(event.cursor)
        self._waiting.append(event)

    def _has_ended(self) -> bool:
        record = self._store.load(self._session_id, TurnRange(last=0))
        # One that was deleted meanwhile has nothing more to tell either.
        return record is None or bool(record.completed_at)
