"""`OneAtATime`: lets one call of a kit in at a time, whatever sessions and servers come and go."""

from __future__ import annotations

import asyncio
import collections
import os
import threading
import weakref

from caw_core.twins import deliver


class OneAtATime:
    """Lets calls in one after another, in the order in which they came.

    It belongs to no loop: a call whose thread still runs when its session has ended, and the server
    with it, keeps the calls of later sessions out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: collections.deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = (
            collections.deque()
        )

    async def enter(self) -> None:
        """Wait for one's turn; call `leave` after it, from any thread."""
        loop = asyncio.get_running_loop()
        entry = (loop, loop.create_future())
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            self._waiting.append(entry)
        try:
            await entry[1]
        except asyncio.CancelledError:
            with self._lock:
                waited = entry in self._waiting
                if waited:
                    self._waiting.remove(entry)
            if not waited:
                # Its turn came in the same moment.
                self.leave()
            raise

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let the next one in; returns at once."""
        with self._lock:
            while self._waiting:
                loop, future = self._waiting.popleft()
                if deliver(loop, _wake, future):
                    return
            self._taken = False


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Known:
    """Which kit has which; kept as long as a session or a running call has it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew in a fork of the process, in which no call runs."""
        self._lock = threading.Lock()
        self._of: weakref.WeakValueDictionary[int, OneAtATime] = weakref.WeakValueDictionary()

    def of(self, key: object) -> OneAtATime:
        with self._lock:
            # By identity: a kit of the caller's own may be equal to another, or unhashable.
            return self._of.setdefault(id(key), OneAtATime())


_KNOWN = _Known()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_KNOWN.forget)


def one_at_a_time(kit: object) -> OneAtATime:
    """Return what lets one call of *kit* in at a time, the same for all its sessions.

    Args:
        kit: the toolkit, which the caller keeps as long as what it gets.
    """
    return _KNOWN.of(kit)
