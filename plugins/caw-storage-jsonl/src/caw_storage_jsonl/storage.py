"""The plugin: caw's storage hooks, answered with one folder for each session."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from caw_core import hookimpl
from caw_core.handles import check_session_id
from caw_core.storage import place_of
from caw_storage_jsonl import listing, live, private_files, record, search
from caw_storage_jsonl.session import SessionWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from caw_core.storage import (
        LiveEvent,
        SearchPage,
        SearchQuery,
        SessionPage,
        SessionQuery,
        TurnRange,
    )
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_storage_jsonl.lease import FileLease

_KEPT: Final = 8
"""How many sessions that nobody has leased are remembered for their next write."""


class JsonlStorage:
    """Keeps sessions below ``<data_dir>/sessions/<session_id>/``.

    Safe to use from several threads. Nothing is made on the disk before something is written.
    Every method that takes a session or an id raises `caw_core.errors.ResumeHandleError` for an
    id that could lead elsewhere, and `caw_core.errors.StorageError` where the disk refuses.
    """

    caw_api = "1.0"

    def __init__(self, data_dir: str | os.PathLike[str]) -> None:
        self._data_dir = Path(data_dir).absolute()
        self._root = self._data_dir / "sessions"
        # A service goes through any number of sessions: kept are those that are leased, and the
        # last others, which need not read their file anew for each write.
        self._writers: WeakValueDictionary[str, SessionWriter] = WeakValueDictionary()
        self._last: deque[SessionWriter] = deque(maxlen=_KEPT)
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._data_dir)!r})"

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Append what is new of *turn*; on the disk when this returns."""
        self._writer(session.session_id, make=True).write(session, turn)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Append the head if it changed; a completed one also gets its ``trajectory.json``."""
        self._writer(session.session_id, make=True).write(session)

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None = None) -> Trajectory | None:
        """Read a record, this storage's own or the existing wrapper's, or some of its turns.

        Raises:
            StorageError: the disk refused.
            TrajectoryError: the record is there and damaged, or of a newer version.
        """
        folder = self._folder(session_id)
        with private_files.naming(folder, "read"):
            if not private_files.is_real_folder(self._root):
                return None
            if turns is None:
                return record.load(folder, session_id)
            return record.load_range(folder, session_id, turns)

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """List sessions by the time of their last write."""
        with private_files.naming(self._root, "list"):
            return listing.list_page(self._root, query)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        """Look through the records, those last written first."""
        with private_files.naming(self._root, "search"):
            return search.search_page(self._root, query)

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Give the parent's file a second name in the fork's folder, where that can be done."""
        parent = self._folder(parent_id)
        return self._writer(session.session_id, make=True).share(session, parent, stop)

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Add events to the file of those that somebody may follow."""
        if events:
            self._writer(session_id, make=True).publish(events)

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        """Read that file; whoever waits looks every 50 ms whether it has changed."""
        folder, place = self._folder(session_id), place_of(after)
        with private_files.naming(folder, "read"):
            if private_files.is_real_folder(self._root):
                private_files.is_real_folder(folder)
            return live.read(folder / live.EVENTS_NAME, place, limit, wait_seconds)

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        """Remove a session's folder; raise `SessionBusyError` while somebody writes it."""
        folder = self._folder(session_id)
        with private_files.naming(folder, "delete"):
            if not private_files.is_real_folder(self._root):
                return False
        return self._writer(session_id, make=False).delete()

    @hookimpl
    def lease_session(self, session_id: str) -> FileLease:
        """Lock the session's folder until the lease is released or this process dies."""
        return self._writer(session_id, make=True).lease()

    @hookimpl
    def session_dir(self, session_id: str) -> Path:
        """Return the session's folder, whether it is there or not."""
        return self._folder(session_id)

    def _folder(self, session_id: str) -> Path:
        return self._root / check_session_id(session_id)

    def _writer(self, session_id: str, *, make: bool) -> SessionWriter:
        folder = self._folder(session_id)
        if make:
            with private_files.naming(self._root, "make"):
                if not self._data_dir.is_dir():
                    self._data_dir.parent.mkdir(parents=True, exist_ok=True)
                    private_files.make_folder(self._data_dir)
                private_files.make_folder(self._root)
        with self._mutex:
            writer = self._writers.get(session_id)
            if writer is None:
                writer = self._writers[session_id] = SessionWriter(folder)
                self._last.append(writer)
            return writer
