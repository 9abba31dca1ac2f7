"""How a turn reaches the record: as it goes, and once it has ended."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from caw_core.clock import process_clock
from caw_core.errors import PersistError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.session_core import SessionCore
    from caw_core.trajectory import Turn

SNAPSHOT_SECONDS = 1.0
"""How often a running turn is stored at most, in seconds."""


class TurnStore:
    """Stores one turn, never an older state of it after a newer one.

    Args:
        session: whose turn it is.
        running: returns the turn as it is now; None when it has ended.
    """

    def __init__(self, session: SessionCore, running: Callable[[], Turn | None]) -> None:
        self._session = session
        self._running = running
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        self._last = 0.0
        self._armed = False

    def snapshot(self) -> None:
        """Store the turn as it is, at most once a second; what comes sooner is stored later."""
        if not self._session.recorder.active:
            return
        now = time.monotonic()
        with self._lock:
            due = self._last + SNAPSHOT_SECONDS if self._last else now
            if now < due:
                if not self._armed:
                    self._armed = True
                    process_clock().watch(self._late_snapshot, due)
                return
            self._last = now
        with self._storing:
            turn = self._running()
            # The final turn has been stored, or will be as soon as this lock is free.
            if turn is not None:
                self._session.recorder.record_turn(self._session.info, turn)

    def final(self, turn: Turn) -> StorageError | None:
        """Store the turn that has ended; return what went wrong."""
        try:
            with self._storing:
                self._session.recorder.record_turn(self._session.info, turn)
        except PersistError as failure:
            return failure
        except BaseException as failure:  # noqa: BLE001 - the caller must not wait for ever
            error = StorageError(f"a storage failed with {failure!r}")
            error.__cause__ = failure
            return error
        return None

    def _late_snapshot(self, _: float) -> None:
        with self._lock:
            self._armed = False
        if self._running() is not None:
            # Storing may take a while, and the clock is everybody's.
            threading.Thread(target=self.snapshot, name="caw-snapshot", daemon=True).start()
