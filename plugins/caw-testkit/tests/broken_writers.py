"""Storages that hide failures, or lose turns where there is much to do."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.errors import StorageError
from caw_core.storage import (
    LiveEvent,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    TurnRange,
)
from caw_core.trajectory import SessionInfo, Trajectory, Turn

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

# --------------------------------------------------------------------------------------- failures


@breaks(
    "store_that_is_down_is_never_an_absent_session",
    "store_that_is_down_is_never_an_empty_list",
    "store_that_is_down_is_never_a_deletion",
    "store_that_is_down_is_never_a_search_without_hits",
    "store_that_is_down_is_never_a_session_at_rest",
)
class TakesFailureForAbsence(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        with contextlib.suppress(StorageError):
            return super().load_trajectory(session_id, turns)
        return None

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        with contextlib.suppress(StorageError):
            return super().search_sessions(query)
        return SearchPage()

    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        with contextlib.suppress(StorageError):
            return super().events_after(session_id, turn, number, limit)
        return []

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        with contextlib.suppress(StorageError):
            return super().list_sessions(query)
        return SessionPage()

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        with contextlib.suppress(StorageError):
            return super().delete_session(session_id)
        return False


@breaks("store_that_is_down_is_never_an_absent_session")
class RaisesWhatItsDriverRaises(Reference):
    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        try:
            with super().database() as database:
                yield database
        except StorageError as error:
            raise error.__cause__ or error from None


@breaks("damaged_store_is_never_an_absent_session")
class PassesOverDamage(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        try:
            return super().load_trajectory(session_id, turns)
        except StorageError:
            if self.path.is_file():
                return None
            raise


@breaks("damaged_session_is_not_left_out_of_the_list")
class ListsWhatItCanRead(Reference):
    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        try:
            return super().list_sessions(query)
        except StorageError:
            return SessionPage()


@breaks("hostile_id_is_refused")
class TakesAnyId(Reference):
    def check_id(self, session_id: str) -> None:
        pass


# ---------------------------------------------------------------------------------------- crashes


@breaks(
    "no_turn_is_lost_when_the_writer_is_killed_between_turns",
    "turn_comes_back_as_it_was",
)
class WritesLater(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.waiting: list[tuple[SessionInfo, Turn]] = []

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int) -> None:
        self.waiting.append((session, turn))
        if len(self.waiting) == 100:
            for each in self.waiting:
                super().persist_turn(*each, attempt)
            self.waiting.clear()

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        record = super().load_trajectory(session_id, turns)
        mine = [turn for info, turn in self.waiting if info.session_id == session_id]
        if not mine:
            return record
        return Trajectory.of(self.waiting[-1][0], (*(record.turns if record else ()), *mine))


@breaks("no_turn_is_lost_when_the_writer_is_killed_inside_a_turn")
class WritesInPieces(Reference):
    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        text = json.dumps(self.document_of(turn))
        running = turn.status == "running"
        super().write_turn(database, session_id, turn, attempt)
        for place in range(0, 0 if running else len(text), 1000):
            update = "UPDATE turns SET document = ? WHERE session = ? AND place = ?"
            database.execute(update, (text[: place + 1000], session_id, turn.index))
            database.execute("COMMIT")
            database.execute("BEGIN IMMEDIATE")


# ---------------------------------------------------------------------------------------- amounts


@breaks("processes_write_different_sessions_at_once")
class GivesUpWhenBusy(Reference):
    patience = 0


@breaks("cost_of_a_turn_does_not_grow")
class ReadsAllBeforeItWrites(Reference):
    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        for text in self.rows(database, session_id, TurnRange()):
            self.read_turn(text)
        super().write_turn(database, session_id, turn, attempt)


@breaks("long_session_is_resumed")
class KeepsAHundredTurns(Reference):
    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        super().write_turn(database, session_id, turn, attempt)
        row = (session_id, turn.index - 100)
        database.execute("DELETE FROM turns WHERE session = ? AND place < ?", row)
