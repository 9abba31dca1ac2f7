"""A storage in one SQLite file that keeps every rule; those in ``broken_storages.py`` break one."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import sqlite3
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from caw_core import hookimpl
from caw_core.errors import ConfigError, SessionBusyError, StorageError, TrajectoryFormatError
from caw_core.handles import check_session_id
from caw_core.hookspecs import StorageSpecs
from caw_core.migrations import DOCUMENT_VERSION
from caw_core.plugin_check import REQUIRED, hook_arguments
from caw_core.serialize import session_info_from_dict, session_info_to_dict
from caw_core.storage import SessionPage, SessionQuery, SessionSummary
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_testkit.conformance import StorageConformance
from caw_testkit.conformance.storage_samples import golden_names
from caw_testkit.conformance.storage_suite import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = """
CREATE TABLE IF NOT EXISTS heads (session TEXT PRIMARY KEY, document, provider, updated INTEGER);
CREATE TABLE IF NOT EXISTS turns (session TEXT, place INTEGER, document, running, attempt INTEGER,
                                  PRIMARY KEY (session, place));
CREATE TABLE IF NOT EXISTS leases (session TEXT PRIMARY KEY, token INTEGER, pid INTEGER);
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY, tick INTEGER);
"""
FREE = 0


class Reference:
    caw_api = "1.0"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.db"
        self.held: dict[str, int] = {}

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """One connection and one transaction for each call."""
        try:
            connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            with contextlib.closing(connection) as database:
                database.executescript(TABLES)
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error

    # ------------------------------------------------------------------------------- writing

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        self.check_id(session.session_id)
        with self.database() as database:
            self.check_lease(database, session.session_id)
            self.write_head(database, session)

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int) -> None:
        self.check_id(session.session_id)
        with self.database() as database:
            self.check_lease(database, session.session_id)
            self.write_head(database, session)
            self.write_turn(database, session.session_id, turn, attempt)

    def check_id(self, session_id: str) -> None:
        check_session_id(session_id)

    def check_lease(self, database: sqlite3.Connection, session_id: str) -> None:
        token, holder = self.lease_row(database, session_id)
        mine = self.held.get(session_id)
        if (holder != FREE and mine != token) or (mine is not None and mine != token):
            raise SessionBusyError(f"{session_id} is written by {holder}", holder=str(holder))

    def write_head(self, database: sqlite3.Connection, session: SessionInfo) -> None:
        (self.folder / "sessions" / session.session_id).mkdir(parents=True, exist_ok=True)
        self.dir_of(session.session_id).chmod(0o700)
        database.execute("INSERT INTO clock (tick) VALUES (0)")
        (tick,) = database.execute("SELECT max(id) FROM clock").fetchone()
        row = (
            session.session_id,
            json.dumps(session_info_to_dict(session)),
            session.provider,
            tick,
        )
        database.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)", row)

    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        document = json.dumps(self.document_of(turn))
        row = (session_id, turn.index, document, turn.status == "running", attempt)
        database.execute(
            "INSERT INTO turns VALUES (?, ?, ?, ?, ?) ON CONFLICT (session, place) DO UPDATE "  # noqa: S608 - what stands there is a constant of the class
            f"SET document = excluded.document, running = excluded.running, "
            f"attempt = excluded.attempt WHERE {self.newer}",
            row,
        )

    newer = "turns.running OR NOT excluded.running"

    def document_of(self, turn: Turn) -> dict[str, Any]:
        return turn.to_dict()

    # ------------------------------------------------------------------------------- reading

    same = "session = ?"
    order = "place"

    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        self.check_id(session_id)
        with self.database() as database:
            select = f"SELECT document FROM heads WHERE {self.same}"  # noqa: S608 - likewise
            head = database.execute(select, (session_id,)).fetchone()
            select = f"SELECT document FROM turns WHERE {self.same} ORDER BY {self.order}"  # noqa: S608 - likewise
            rows = database.execute(select, (session_id,)).fetchall()
        if head is None:
            return None
        turns = [turn for (text,) in rows for turn in self.read_turn(text)]
        return Trajectory.of(session_info_from_dict(self.parsed(head[0])), tuple(turns))

    def read_turn(self, text: str) -> list[Turn]:
        turn = Turn.from_dict(self.parsed(text))
        return [attrs.evolve(turn, status="unknown") if turn.status == "running" else turn]

    def parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise TrajectoryFormatError([f"{self.path}: {error}"]) from error

    newest = "updated DESC"

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        after = self.place_of(query.cursor)
        with self.database() as database:
            rows = database.execute(
                "SELECT session, document, updated FROM heads WHERE updated < ? AND "  # noqa: S608 - likewise
                f"(? = '' OR provider = ?) ORDER BY {self.newest} LIMIT ?",
                (after, query.provider, query.provider, query.limit + 1),
            ).fetchall()
            page = [self.summary(database, *row) for row in rows[: query.limit]]
        cursor = str(rows[query.limit - 1][2]) if len(rows) > query.limit else ""
        return SessionPage(sessions=tuple(page), next_cursor=cursor)

    def place_of(self, cursor: str) -> int:
        if cursor and not re.fullmatch(r"\d{1,18}", cursor):
            raise ConfigError(f"{cursor!r} is no cursor")
        return int(cursor or 2**62)

    def summary(
        self, database: sqlite3.Connection, session_id: str, head: str, updated: int
    ) -> SessionSummary:
        select = "SELECT document FROM turns WHERE session = ? ORDER BY place"
        turns = [self.parsed(row[0]) for row in database.execute(select, (session_id,)).fetchall()]
        return SessionSummary(
            info=session_info_from_dict(self.parsed(head)),
            num_turns=len(turns),
            title=" ".join(turns[0]["input"].split())[:80] if turns else "",
            updated_at=dt.datetime.fromtimestamp(updated, dt.UTC).isoformat(),
        )

    # ----------------------------------------------------------------------------- the others

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        self.check_id(session_id)
        with self.database() as database:
            self.check_lease(database, session_id)
            return self.delete(database, session_id)

    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        database.execute("DELETE FROM turns WHERE session = ?", (session_id,))
        return bool(database.execute("DELETE FROM heads WHERE session = ?", (session_id,)).rowcount)

    @hookimpl
    def lease_session(self, session_id: str) -> ReferenceLease:
        self.check_id(session_id)
        with self.database() as database:
            token, holder = self.lease_row(database, session_id)
            if holder != FREE:
                raise SessionBusyError(f"{session_id} is written by {holder}", holder=str(holder))
            row = (session_id, token + 1, os.getpid())
            database.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", row)
        self.held[session_id] = token + 1
        return ReferenceLease(self, session_id, token + 1)

    def lease_row(self, database: sqlite3.Connection, session_id: str) -> tuple[int, int]:
        select = "SELECT token, pid FROM leases WHERE session = ?"
        token, pid = database.execute(select, (session_id,)).fetchone() or (0, FREE)
        return token, pid if pid == FREE or self.is_alive(pid) else FREE

    def is_alive(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def give_back(self, session_id: str, token: int) -> None:
        if self.held.get(session_id) == token:
            del self.held[session_id]
        with self.database() as database:
            free = "UPDATE leases SET pid = 0 WHERE session = ? AND token = ?"
            database.execute(free, (session_id, token))

    @hookimpl
    def session_dir(self, session_id: str) -> Path:
        self.check_id(session_id)
        return self.dir_of(session_id)

    def dir_of(self, session_id: str) -> Path:
        return self.folder / "sessions" / session_id


class ReferenceLease:
    def __init__(self, storage: Reference, session_id: str, token: int) -> None:
        self.token = token
        self._storage = storage
        self._session_id = session_id

    def release(self) -> None:
        self._storage.give_back(self._session_id, self.token)


class TestReference(StorageConformance):
    capabilities = frozenset(StorageConformance.known_capabilities)
    storage_class: ClassVar[type[Reference]] = Reference

    def make_storage(self, folder: Path) -> Reference:
        return self.storage_class(folder)

    def take_lease_away(self, folder: Path, session_id: str) -> None:
        with contextlib.closing(sqlite3.connect(folder / "records.db")) as database, database:
            free = "UPDATE leases SET pid = 0, token = token + 1 WHERE session = ?"
            database.execute(free, (session_id,))


def test_every_optional_hook_of_a_storage_can_be_declared() -> None:
    hooks = {name for name in vars(StorageSpecs) if name in hook_arguments()}
    assert set(HOOKS) == hooks - set(REQUIRED["storage"])


def test_there_is_a_golden_document_of_each_version() -> None:
    folder = resources.files("caw_testkit.conformance") / "golden"
    documents = [json.loads((folder / name).read_text()) for name in golden_names()]
    versions = {document.get("version", 1) for document in documents}
    assert versions == set(range(1, DOCUMENT_VERSION + 1))
