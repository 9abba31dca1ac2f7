"""The time as records hold it, and one thread that watches every deadline of this process."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from types import MethodType
from typing import TypeAlias

Check: TypeAlias = Callable[[float], float | None]


def utc_now() -> str:
    """Return the time as records hold it: ISO 8601 with offset, UTC."""
    return datetime.now(UTC).isoformat()


class Clock:
    """Calls checks when they are due.

    A check gets the time (`time.monotonic`) and returns when it wants to be called next, or None
    for never again. So what is watched only notes the time when something happens, without a
    lock, and its check finds out later whether that was enough. Checks must not block.

    A check that is a method does not keep its object: a turn that has ended, with its session,
    would else live until its deadline.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], Check | None]]] = []
        self._thread: threading.Thread | None = None

    def watch(self, check: Check, first: float) -> None:
        """Call *check* at the time *first*, and then as it says."""
        held = weakref.WeakMethod(check) if isinstance(check, MethodType) else lambda: check
        with self._condition:
            heapq.heappush(self._due, (first, next(self._order), held))
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
                _, order, held = heapq.heappop(self._due)
            again = _ask(held(), now)
            if again is not None:
                with self._condition:
                    heapq.heappush(self._due, (again, order, held))


def _ask(check: Check | None, now: float) -> float | None:
    # A function of its own, since a name in the thread's loop would keep the check while it waits.
    return None if check is None else check(now)


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
