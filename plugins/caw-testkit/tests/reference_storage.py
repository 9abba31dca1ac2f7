"""A storage in one SQLite file that keeps every rule; those in the ``broken_*.py`` break one."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import attrs

from caw_core import hookimpl
from caw_core.blocks import TextBlock
from caw_core.errors import ConfigError, StorageError, TrajectoryFormatError
from caw_core.handles import check_session_id
from caw_core.listing import matches, title_of
from caw_core.serialize import session_info_from_dict, session_info_to_dict
from caw_core.storage import (
    SearchHit,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    SessionSummary,
    TurnRange,
)
from caw_core.trajectory import SessionInfo, Trajectory, Turn

from .reference_leases import LEASES, Leases
from .reference_live import EVENTS, Live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS heads (session TEXT PRIMARY KEY, document, provider, updated INTEGER);
CREATE TABLE IF NOT EXISTS turns (session TEXT, place INTEGER, document, running, attempt INTEGER,
                                  PRIMARY KEY (session, place));
CREATE TABLE IF NOT EXISTS shares (session TEXT PRIMARY KEY, parent TEXT, stop INTEGER);
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY, tick INTEGER);
"""
FREE = 0


class Reference(Live, Leases):
    caw_api = "1.0"
    patience = 60.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.db"
        self.held: dict[str, int] = {}

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """One connection and one transaction for each call."""
        try:
            connection = sqlite3.connect(self.path, self.patience, isolation_level=None)
            with contextlib.closing(connection) as database:
                # What the system has survives a kill, and the tests pull no plug.
                database.execute("PRAGMA synchronous = OFF")
                database.executescript(TABLES + LEASES + EVENTS)
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

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        self.check_id(session.session_id)
        self.check_id(parent_id)
        with self.database() as database:
            self.check_lease(database, session.session_id)
            select = "SELECT 1 FROM heads WHERE session = ?"
            if database.execute(select, (parent_id,)).fetchone() is None:
                return False
            self.write_head(database, session)
            self.share(database, session.session_id, parent_id, stop)
            return True

    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        row = (session_id, parent_id, stop)
        database.execute("INSERT OR REPLACE INTO shares VALUES (?, ?, ?)", row)

    # ------------------------------------------------------------------------------- reading

    same = "session = ?"
    order = "place"

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        self.check_id(session_id)
        with self.database() as database:
            select = f"SELECT document FROM heads WHERE {self.same}"  # noqa: S608 - likewise
            head = database.execute(select, (session_id,)).fetchone()
            rows = self.rows(database, session_id, turns or TurnRange())
        if head is None:
            return None
        found = [turn for text in rows for turn in self.read_turn(text)]
        return Trajectory.of(session_info_from_dict(self.parsed(head[0])), tuple(found))

    def rows(self, database: sqlite3.Connection, session_id: str, turns: TurnRange) -> list[str]:
        stop = sys.maxsize if turns.stop is None else turns.stop
        limit = -1 if turns.last is None else turns.last
        select = "SELECT parent, stop FROM shares WHERE session = ?"
        parent, cut = database.execute(select, (session_id,)).fetchone() or ("", 0)
        rows = database.execute(
            f"SELECT document FROM (SELECT * FROM turns WHERE {self.same} AND place >= ? "  # noqa: S608 - likewise
            f"AND place < ? ORDER BY {self.order} DESC LIMIT ?) ORDER BY {self.order}",
            (session_id, max(turns.start, cut), stop, limit),
        ).fetchall()
        own = [text for (text,) in rows]
        if not parent:
            return own
        last = None if turns.last is None else turns.last - len(own)
        rest = attrs.evolve(turns, stop=min(stop, cut), last=last)
        return [*self.rows(database, parent, rest), *own]

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
            select = (
                f"SELECT session, document, updated FROM heads WHERE updated < ? "  # noqa: S608 - likewise
                f"ORDER BY {self.newest}"
            )
            found: list[tuple[int, SessionSummary]] = []
            for row in database.execute(select, (after,)).fetchall():
                summary = self.summary(database, *row)
                if self.fits(summary, query):
                    found.append((row[2], summary))
                if len(found) > query.limit:
                    break
        cursor = str(found[query.limit - 1][0]) if len(found) > query.limit else ""
        page = tuple(summary for _, summary in found[: query.limit])
        return SessionPage(sessions=page, next_cursor=cursor)

    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        return matches(summary, query)

    def place_of(self, cursor: str) -> int:
        if cursor and not re.fullmatch(r"\d{1,18}", cursor):
            raise ConfigError(f"{cursor!r} is no cursor")
        return int(cursor or 2**62)

    def summary(
        self, database: sqlite3.Connection, session_id: str, head: str, updated: int
    ) -> SessionSummary:
        turns = [self.parsed(text) for text in self.rows(database, session_id, TurnRange())]
        return SessionSummary(
            info=session_info_from_dict(self.parsed(head)),
            num_turns=len(turns),
            title=title_of(turns[0]["input"]) if turns else "",
            updated_at=dt.datetime.fromtimestamp(updated, dt.UTC).isoformat(),
            status=self.status_of(database, session_id, turns),
        )

    def status_of(
        self, database: sqlite3.Connection, session_id: str, turns: list[dict[str, Any]]
    ) -> str:
        status = str(turns[-1]["status"]) if turns else ""
        if status == "running" and self.lease_row(database, session_id)[1] == FREE:
            return "unknown"
        return status

    # ----------------------------------------------------------------------------- searching

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        skip = self.place_of(query.cursor) if query.cursor else 0
        with self.database() as database:
            hits = [hit for hit in self.hits(database, query) if self.right_provider(hit, query)]
        end = skip + query.limit
        return SearchPage(
            hits=tuple(hits[skip:end]), next_cursor=str(end) if end < len(hits) else ""
        )

    def right_provider(self, hit: SearchHit, query: SearchQuery) -> bool:
        return query.provider in ("", hit.info.provider)

    def hits(self, database: sqlite3.Connection, query: SearchQuery) -> Iterator[SearchHit]:
        heads = database.execute("SELECT session, document FROM heads").fetchall()
        for session_id, head in heads:
            for text in self.rows(database, session_id, TurnRange()):
                (turn,) = self.read_turn(text)
                words = self.words_of(query.text)
                if self.has_words(self.text_of(turn), words):
                    yield SearchHit(
                        info=session_info_from_dict(self.parsed(head)),
                        turn=turn.index,
                        snippet=self.snippet_of(self.text_of(turn), words),
                    )

    def text_of(self, turn: Turn) -> str:
        texts = [block.text for block in turn.output if isinstance(block, TextBlock)]
        return "\n".join([turn.input, *texts])

    def words_of(self, text: str) -> list[str]:
        return text.casefold().split()

    def has_words(self, text: str, words: list[str]) -> bool:
        return all(word in text.casefold() for word in words)

    def snippet_of(self, text: str, words: list[str]) -> str:
        place = text.casefold().find(words[0])
        return " ".join(text[max(0, place - 50) : place + 100].split())

    # ----------------------------------------------------------------------------- the others

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        self.check_id(session_id)
        with self.database() as database:
            self.check_lease(database, session_id)
            self.hand_over(database, session_id)
            database.execute("DELETE FROM shares WHERE session = ?", (session_id,))
            self.delete_events(database, session_id)
            return self.delete(database, session_id)

    def hand_over(self, database: sqlite3.Connection, session_id: str) -> None:
        """Give the forks of a session the turns that they share with it."""
        select = "SELECT session, stop FROM shares WHERE parent = ?"
        for child, stop in database.execute(select, (session_id,)).fetchall():
            for text in self.rows(database, session_id, TurnRange(stop=stop)):
                (turn,) = self.read_turn(text)
                self.write_turn(database, child, turn, 1)
            database.execute("DELETE FROM shares WHERE session = ?", (child,))

    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        database.execute("DELETE FROM turns WHERE session = ?", (session_id,))
        return bool(database.execute("DELETE FROM heads WHERE session = ?", (session_id,)).rowcount)

    @hookimpl
    def session_dir(self, session_id: str) -> Path:
        self.check_id(session_id)
        return self.dir_of(session_id)

    def dir_of(self, session_id: str) -> Path:
        return self.folder / "sessions" / session_id
