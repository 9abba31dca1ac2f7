"""Between the thread that runs a turn and whoever iterates over its events."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING

from caw_core.errors import SessionStateError
from caw_core.events import Notice
from caw_core.sizes import size_of
from caw_core.twins import deliver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from caw_core.events import Event

LIMIT = 1024
"""How many events may wait. A consumer that reads slower slows the agent down instead."""

LIMIT_CHARACTERS = 8 * 1024 * 1024
"""How much text may wait in them, in characters; one event alone may be larger."""

WHILE_STOPPING = 4
"""How many times as much may wait while the turn is being stopped; what follows is left out."""

LEFT_OUT = "nobody read while the turn was being stopped; the events from here on are left out"


class EventBuffer:
    """A bounded queue with one blocking or awaiting reader at a time, woken once per burst."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._events: deque[tuple[Event, int]] = deque()
        self._size = 0
        self._writers_wait = False
        self._reading = False
        self._closed = False
        self._discarding = False
        self._limited = True
        self._leaving_out = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def put(self, event: Event, *, wait: bool = True) -> None:
        """Add an event; blocks while the buffer is full and somebody may still read it.

        Args:
            event: the event.
            wait: False where the reader itself may be the one who adds it, and for what must not
                be left out.
        """
        with self._condition:
            while wait and self._limited and not self._discarding and self._fills(1):
                self._writers_wait = True
                self._condition.wait()
            if self._discarding or (wait and self._leaving_out):
                return
            if wait and self._fills(WHILE_STOPPING):
                # All that follows, not only some of it: events that belong together stay so.
                self._leaving_out = True
                event = Notice(message=LEFT_OUT, level="warning")
            size = size_of(event)
            self._events.append((event, size))
            self._size += size
            self._wake()

    def raise_limit(self) -> None:
        """Let the turn come to its end even if nobody reads: no writer waits any more."""
        with self._condition:
            self._limited = False
            self._condition.notify_all()

    def close(self) -> None:
        """No more events will come."""
        with self._condition:
            self._closed = True
            self._wake()

    def discard(self) -> None:
        """Nobody will read any more: drop what is there and what still comes."""
        with self._condition:
            self._discarding = True
            self._events.clear()
            self._size = 0
            self._wake()

    def get(self) -> Event | None:
        """Return the next event, None after the last; blocks.

        Raises:
            SessionStateError: somebody else waits for it already.
        """
        with self._alone(), self._condition:
            while not self._events and not self._closed and not self._discarding:
                self._condition.wait()
            return self._next()

    async def get_async(self) -> Event | None:
        """Do as `get`."""
        import asyncio

        with self._alone():
            while True:
                with self._condition:
                    if self._events or self._closed or self._discarding:
                        return self._next()
                    loop = asyncio.get_running_loop()
                    future: asyncio.Future[None] = loop.create_future()
                    self._waiter = (loop, future)
                await future

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Two readers would each get some of the events, and neither a turn.
        with self._condition:
            if self._reading:
                msg = "somebody else reads the events of this turn; they go to one reader"
                raise SessionStateError(msg)
            self._reading = True
        try:
            yield
        finally:
            self._reading = False

    def _next(self) -> Event | None:
        if not self._events:
            return None
        event, size = self._events.popleft()
        self._size -= size
        if self._writers_wait and not self._fills(1 / 2):
            # Not for each event: every switch between two threads takes longer than the event.
            self._writers_wait = False
            self._condition.notify_all()
        return event

    def _fills(self, part: float) -> bool:
        return len(self._events) >= part * LIMIT or self._size >= part * LIMIT_CHARACTERS

    def _wake(self) -> None:
        self._condition.notify_all()
        if self._waiter is not None:
            (loop, future), self._waiter = self._waiter, None
            deliver(loop, _release, future)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
