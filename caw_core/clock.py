"""The time as records hold it, and one thread that watches every deadline of this process."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> str:
    """Return the time as records hold it: ISO 8601 with offset, UTC."""
    return datetime.now(UTC).isoformat()


class Clock:
    """Calls checks when they are due.

    A check gets the time (`time.monotonic`) and returns when it wants to be called next, or None
    for never again. So what is watched only notes the time when something happens, without a
    lock, and its check finds out later whether that was enough. Checks must not block.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[float], float | None]]] = []
        self._thread: threading.Thread | None = None

    def watch(self, check: Callable[[float], float | None], first: float) -> None:
        """Call *check* at the time *first*, and then as it says."""
        with self._condition:
            heapq.heappush(self._due, (first, next(self._order), check))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="caw-clock", daemon=True)
                self._thread.start()
            elif self._due[0][0] == first:
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                now = time.monotonic()
                while not self._due or self._due[0][0] > now:
                    self._condition.wait(self._due[0][0] - now if self._due else None)
                    now = time.monotonic()
                _, order, check = heapq.heappop(self._due)
            again = check(now)
            if again is not None:
                with self._condition:
                    heapq.heappush(self._due, (again, order, check))


_clock = Clock()


def process_clock() -> Clock:
    """Return this process's clock."""
    return _clock


def _after_fork() -> None:
    # A fork has no other threads, so the parent's clock would never tick here.
    global _clock  # noqa: PLW0603 - one per process is the point
    _clock = Clock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
