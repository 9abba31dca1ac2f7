"""Telling a thread to stop, also one that waits for something else."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CancelledError(Exception):
    """The work was given up because nobody waits for it any more; never leaves this package."""


class Cancellation:
    """One request to stop, which can be made once and from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._actions: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._requested

    def cancel(self) -> None:
        """Ask to stop and run the actions of `calling`; idempotent, does not wait."""
        with self._lock:
            self._requested = True
            actions, self._actions = self._actions, []
        for action in actions:
            action()

    def check(self) -> None:
        """Raise `CancelledError` if somebody asked to stop."""
        if self._requested:
            raise CancelledError

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """Run *action* in the thread that cancels, as long as the block lasts; at once if it was.

        *action* must be quick and must not raise.
        """
        with self._lock:
            late = self._requested
            if not late:
                self._actions.append(action)
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                if action in self._actions:
                    self._actions.remove(action)
