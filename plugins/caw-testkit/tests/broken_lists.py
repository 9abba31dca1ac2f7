"""Storages that list, delete or serve sessions wrongly."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

import attrs
from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.errors import ConfigError, StorageError
from caw_core.storage import SessionPage, SessionQuery
from caw_core.trajectory import SessionInfo

if TYPE_CHECKING:
    from pathlib import Path

# ----------------------------------------------------------------------------- lists and deletion


@breaks("pages_hold_each_session_once_while_others_come")
class TurnsPagesByOffset(Reference):
    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        offset = int(query.cursor or 0)
        all_of_them = attrs.evolve(query, cursor="", limit=10**6)
        sessions = super().list_sessions(all_of_them).sessions
        end = offset + query.limit
        cursor = str(end) if end < len(sessions) else ""
        return SessionPage(sessions=sessions[offset:end], next_cursor=cursor)


@breaks("last_written_comes_first")
class ListsInOrderOfIds(Reference):
    newest = "session"


@breaks("pages_hold_each_session_once", "many_sessions_are_listed_page_by_page")
class ForgetsItsLastPage(Reference):
    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        page = super().list_sessions(query)
        return attrs.evolve(page, next_cursor="") if query.cursor else page


@breaks("cursor_of_somebody_else_is_refused")
class TakesAnyCursor(Reference):
    def place_of(self, cursor: str) -> int:
        with contextlib.suppress(ConfigError):
            return super().place_of(cursor)
        return 2**62


@breaks("only_sessions_of_one_provider")
class CountsAndThenFilters(Reference):
    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        page = super().list_sessions(attrs.evolve(query, provider=""))
        fitting = [each for each in page.sessions if each.info.provider.startswith(query.provider)]
        return attrs.evolve(page, sessions=tuple(fitting))


@breaks("summary_agrees_with_the_record")
class SummarisesTheBeginning(Reference):
    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        page = super().list_sessions(query)
        return attrs.evolve(
            page, sessions=tuple(attrs.evolve(each, num_turns=1) for each in page.sessions)
        )


@breaks("deleted_session_is_gone", "name_of_a_deleted_session_is_free")
class LeavesTurnsBehind(Reference):
    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        return True


@breaks("deletion_leaves_the_others")
class DeletesWhatBeginsLikeIt(Reference):
    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        database.execute("DELETE FROM turns WHERE session LIKE ? || '%'", (session_id,))
        sql = "DELETE FROM heads WHERE session LIKE ? || '%'"
        return bool(database.execute(sql, (session_id,)).rowcount)


@breaks("absent_session_is_not_deleted")
class DeletesWhatIsNotThere(Reference):
    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        super().delete(database, session_id)
        return True


# --------------------------------------------------------------------------------------- sessions


@breaks("threads_write_different_sessions_at_once")
class BelongsToOneThread(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.thread: int | None = None

    def check_id(self, session_id: str) -> None:
        super().check_id(session_id)
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            raise StorageError("used in another thread than the first")


@breaks("two_event_loops_use_one_storage")
class BelongsToOneLoop(Reference):
    def check_id(self, session_id: str) -> None:
        super().check_id(session_id)
        # What a driver does that was made in the loop of the first session.
        if session_id == "loop-1":
            raise RuntimeError("attached to a different loop")


@breaks("descriptors_and_threads_do_not_grow")
class LeavesConnectionsOpen(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.left: list[sqlite3.Connection] = []

    def check_id(self, session_id: str) -> None:
        super().check_id(session_id)
        self.left.append(sqlite3.connect(self.path))


@breaks("session_dir_is_the_sessions_own")
class HasOneFolder(Reference):
    def dir_of(self, session_id: str) -> Path:
        folder = self.folder / "sessions"
        folder.mkdir(exist_ok=True)
        return folder


@breaks("files_are_their_owners_alone")
class ShowsItsFiles(Reference):
    def write_head(self, database: sqlite3.Connection, session: SessionInfo) -> None:
        super().write_head(database, session)
        self.dir_of(session.session_id).chmod(0o755)
