"""Programs that serve several sessions, each kept for as long as somebody uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Stoppable(Protocol):
    """What a `SharedPool` holds, e.g. an agent's server."""

    def stop(self, step_seconds: float) -> None:
        """End it; see `caw_core.process.Process.stop`."""


K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=Stoppable)


class SharedPool(Generic[K, S]):
    """Keeps one server for each way of starting it, and ends it with its last user.

    Args:
        make: given what decides whether two sessions may share a server (program, environment),
            makes one. It should start its program only when it is first needed, because other
            users wait meanwhile.
    """

    def __init__(self, make: Callable[[K], S]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._servers: dict[K, S] = {}
        self._users: dict[K, int] = {}

    def enter(self, key: K) -> S:
        """Count one more user of the server that *key* describes, and return it."""
        with self._lock:
            if key not in self._servers:
                self._servers[key] = self._make(key)
            self._users[key] = self._users.get(key, 0) + 1
            return self._servers[key]

    def is_shared(self, key: K) -> bool:
        """Tell whether the server that *key* describes has more than one user."""
        with self._lock:
            return self._users.get(key, 0) > 1

    def leave(self, key: K, step_seconds: float) -> None:
        """Count one user less; the last one ends the server.

        Args:
            key: as it was for `enter`.
            step_seconds: how long each step of ending it may take.
        """
        with self._lock:
            self._users[key] -= 1
            if self._users[key]:
                return
            del self._users[key]
            server = self._servers.pop(key)
        server.stop(step_seconds)
