"""The plugin: caw's storage hooks, answered with one folder for each session."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.handles import check_session_id
from caw_storage_jsonl import listing, private_files, record
from caw_storage_jsonl.session import SessionWriter

if TYPE_CHECKING:
    import os

    from caw_core.storage import SessionPage, SessionQuery
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_storage_jsonl.lease import FileLease


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
        self._writers: dict[str, SessionWriter] = {}
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
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        """Read a record, this storage's own or the existing wrapper's.

        Raises:
            StorageError: the disk refused.
            TrajectoryError: the record is there and damaged, or of a newer version.
        """
        folder = self._folder(session_id)
        with private_files.naming(folder, "read"):
            if not private_files.is_real_folder(self._root):
                return None
            return record.load(folder, session_id)

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """List sessions by the time of their last write."""
        with private_files.naming(self._root, "list"):
            return listing.list_page(self._root, query)

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
            return self._writers.setdefault(session_id, SessionWriter(folder))
