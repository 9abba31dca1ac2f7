"""Between the thread that runs a turn and whoever iterates over its events."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING

from caw_core.twins import deliver

if TYPE_CHECKING:
    import asyncio

    from caw_core.events import Event

LIMIT = 1024
"""How many events may wait. A consumer that reads slower slows the agent down instead."""


class EventBuffer:
    """A bounded queue with one blocking or awaiting reader, woken once per burst."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._events: deque[Event] = deque()
        self._closed = False
        self._discarding = False
        self._limit: float = LIMIT
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def put(self, event: Event, *, wait: bool = True) -> None:
        """Add an event; blocks while the buffer is full and somebody may still read it.

        Args:
            event: the event.
            wait: False where the reader itself may be the one who adds it.
        """
        with self._condition:
            while wait and len(self._events) >= self._limit and not self._discarding:
                self._condition.wait()
            if not self._discarding:
                self._events.append(event)
                self._wake()

    def lift_limit(self) -> None:
        """Let the turn come to its end even if nobody reads; only few events will follow."""
        with self._condition:
            self._limit = math.inf
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
            self._wake()

    def get(self) -> Event | None:
        """Return the next event, None after the last; blocks."""
        with self._condition:
            while not self._events and not self._closed and not self._discarding:
                self._condition.wait()
            return self._next()

    async def get_async(self) -> Event | None:
        """Return the next event, None after the last."""
        import asyncio

        while True:
            with self._condition:
                if self._events or self._closed or self._discarding:
                    return self._next()
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                self._waiter = (loop, future)
            await future

    def _next(self) -> Event | None:
        if not self._events:
            return None
        event = self._events.popleft()
        if len(self._events) == LIMIT // 2:
            self._condition.notify_all()
        return event

    def _wake(self) -> None:
        self._condition.notify_all()
        if self._waiter is not None:
            (loop, future), self._waiter = self._waiter, None
            deliver(loop, _release, future)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
