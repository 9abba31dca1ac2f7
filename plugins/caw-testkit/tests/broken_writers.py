"""Storages that hide failures, let two write, or lose turns in a crash."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING

from tests.breaking import breaks
from tests.test_reference_storage import FREE, Reference, ReferenceLease

from caw_core import hookimpl
from caw_core.errors import StorageError
from caw_core.storage import SessionPage, SessionQuery
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
)
class TakesFailureForAbsence(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        with contextlib.suppress(StorageError):
            return super().load_trajectory(session_id)
        return None

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
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        try:
            return super().load_trajectory(session_id)
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


# ----------------------------------------------------------------------------------------- leases


class _LeaseInMemory(Reference):
    def lease_row(self, database: sqlite3.Connection, session_id: str) -> tuple[int, int]:
        token, holder = super().lease_row(database, session_id)
        return token, holder if session_id in self.held else FREE


@breaks("second_lease_is_refused", "second_lease_is_refused_in_another_process")
class LeasesToItselfAlone(_LeaseInMemory):
    pass


@breaks("second_lease_is_refused", "second_agent_is_refused_until_the_first_has_ended")
class LeasesToEverybody(Reference):
    def lease_row(self, database: sqlite3.Connection, session_id: str) -> tuple[int, int]:
        return super().lease_row(database, session_id)[0], FREE


@breaks("lease_of_a_dead_process_becomes_free", patience=0.5)
class LocksForEver(Reference):
    def is_alive(self, pid: int) -> bool:
        return True


@breaks("token_grows_with_each_lease")
class CountsTokensForItself(Reference):
    @hookimpl
    def lease_session(self, session_id: str) -> ReferenceLease:
        lease = super().lease_session(session_id)
        lease.token = 1
        return lease

    def give_back(self, session_id: str, token: int) -> None:
        super().give_back(session_id, self.held.get(session_id, token))


@breaks("released_lease_can_be_taken", "writer_whose_lease_was_taken_away_cannot_write")
class GivesBackWhatOthersHold(Reference):
    def give_back(self, session_id: str, token: int) -> None:
        self.held.pop(session_id, None)
        with self.database() as database:
            database.execute("UPDATE leases SET pid = 0 WHERE session = ?", (session_id,))


@breaks("released_lease_can_be_taken", "second_agent_is_refused_until_the_first_has_ended")
class NeverGivesBack(Reference):
    def give_back(self, session_id: str, token: int) -> None:
        pass


@breaks("lease_is_of_one_session")
class LeasesTheWholeStore(Reference):
    def lease_row(self, database: sqlite3.Connection, session_id: str) -> tuple[int, int]:
        token, holder = super().lease_row(database, session_id)
        others = database.execute("SELECT max(pid) FROM leases").fetchone()[0]
        return token, holder or others or FREE


@breaks("threads_that_ask_at_once_get_one_lease")
class LooksAndThenTakes(Reference):
    @hookimpl
    def lease_session(self, session_id: str) -> ReferenceLease:
        with self.database() as database:
            token, holder = self.lease_row(database, session_id)
        if holder != FREE:
            return super().lease_session(session_id)
        meeting_of(self.path).wait()
        self.held[session_id] = token + 1
        return ReferenceLease(self, session_id, token + 1)


MEETINGS: dict[object, threading.Barrier] = {}
"""Where the threads of the check meet between looking and taking, so that all have looked."""


def meeting_of(path: Path) -> threading.Barrier:
    return MEETINGS.setdefault(path, threading.Barrier(8))


@breaks(
    "writer_whose_lease_was_taken_away_cannot_write",
    "writer_that_gave_its_lease_back_cannot_write_late",
    "session_that_somebody_writes_cannot_be_deleted",
)
class WritesWithoutItsLease(Reference):
    def check_lease(self, database: sqlite3.Connection, session_id: str) -> None:
        pass


@breaks("writer_whose_lease_was_taken_away_cannot_write")
class BelievesToHoldItsLease(Reference):
    def check_lease(self, database: sqlite3.Connection, session_id: str) -> None:
        if session_id not in self.held:
            super().check_lease(database, session_id)


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
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        record = super().load_trajectory(session_id)
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
