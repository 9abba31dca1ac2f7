"""Storages that let two write, or nobody."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.breaking import breaks
from tests.reference_leases import FREE, ReferenceLease
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.errors import SessionBusyError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


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


# --------------------------------------------------------------------------- leases that run out


class LeaseForGood:
    def __init__(self, lease: ReferenceLease) -> None:
        self.token = lease.token
        self.release = lease.release


@breaks("lease_runs_out_if_that_is_declared")
class DoesNotSayThatItRunsOut(Reference):
    @hookimpl
    def lease_session(self, session_id: str) -> LeaseForGood:
        return LeaseForGood(super().lease_session(session_id))


@breaks("lease_says_how_long_it_holds")
class HoldsForNoTime(Reference):
    @hookimpl
    def lease_session(self, session_id: str) -> ReferenceLease:
        lease = super().lease_session(session_id)
        lease.expires_after = 0
        return lease


@breaks("lease_that_ran_out_can_be_taken")
class HoldsForEver(Reference):
    now = "-1"


@breaks("lease_that_ran_out_and_nobody_took_still_writes")
class FencesByTime(Reference):
    def check_lease(self, database: sqlite3.Connection, session_id: str) -> None:
        super().check_lease(database, session_id)
        if session_id in self.held and self.lease_row(database, session_id)[1] == FREE:
            raise SessionBusyError("the lease ran out")


@breaks(
    "lease_that_ran_out_and_nobody_took_still_writes",
    "lost_lease_is_told_by_its_renewal_and_by_writes",
)
class RenewsNothing(Reference):
    def renew(self, session_id: str, token: int) -> None:
        pass


@breaks("renewed_lease_holds")
class RenewsOnce(Reference):
    def renew(self, session_id: str, token: int) -> None:
        super().renew(session_id, token)
        with self.database() as database:
            ends = "UPDATE leases SET ends = 0 WHERE session = ?"
            database.execute(ends, (session_id,))


@breaks("lost_lease_stays_lost_when_the_other_one_has_ended", "released_lease_is_not_renewed")
class RenewsWhatever(Reference):
    def renew(self, session_id: str, token: int) -> None:
        with self.database() as database:
            held = f"UPDATE leases SET ends = {self.now} + 30, pid = 1 WHERE session = ?"  # noqa: S608 - constants
            database.execute(held, (session_id,))


@breaks(
    "clock_of_another_machine_does_not_end_a_lease",
    "clock_of_the_holder_does_not_prolong_a_lease",
)
class BelievesItsOwnClock(Reference):
    @property
    def now(self) -> str:  # type: ignore[override]  # a constant becomes one that is computed
        return str(time.time())
