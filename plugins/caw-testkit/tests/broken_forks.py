"""Storages whose forks do not keep what they began with, or more than that."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import attrs
from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.storage import TurnRange

if TYPE_CHECKING:
    from caw_core.storage import SessionSummary
    from caw_core.trajectory import SessionInfo, Trajectory, Turn


@breaks("fork_begins_with_its_parents_turns")
class PromisesTurns(Reference):
    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        pass


@breaks("fork_begins_with_its_parents_turns", "what_the_parent_does_later_is_its_own")
class SharesAllTurns(Reference):
    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        super().share(database, session_id, parent_id, stop + 1)


class _Copies(Reference):
    def copy(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        for text in self.rows(database, parent_id, TurnRange(stop=stop)):
            (turn,) = self.read_turn(text)
            self.write_turn(database, session_id, turn, 1)


@breaks("sharing_costs_the_same_however_long_the_parent_is")
class CopiesTurns(_Copies):
    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        self.copy(database, session_id, parent_id, stop)


@breaks("running_parent_can_be_shared")
class LocksTheParent(Reference):
    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        self.check_lease(database, parent_id)
        super().share(database, session_id, parent_id, stop)


@breaks("sharing_twice_is_sharing_once")
class SharesOnTop(Reference):
    def share(
        self, database: sqlite3.Connection, session_id: str, parent_id: str, stop: int
    ) -> None:
        select = "SELECT stop FROM shares WHERE session = ?"
        (before,) = database.execute(select, (session_id,)).fetchone() or (0,)
        super().share(database, session_id, parent_id, before + stop)


@breaks("absent_parent_is_not_shared")
class SharesWhatIsNotThere(Reference):
    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        super().share_turns(session, parent_id, stop)
        return True


@breaks(
    "deletion_of_the_parent_leaves_the_forks_turns",
    "fork_of_a_fork_keeps_its_turns",
)
class DeletesWhatIsShared(Reference):
    def hand_over(self, database: sqlite3.Connection, session_id: str) -> None:
        pass


@breaks("deletion_of_the_fork_leaves_the_parents_turns")
class DeletesFromTheParent(Reference):
    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        if session_id == "child":
            database.execute("DELETE FROM turns WHERE session = 'parent' AND place < 2")
        return super().delete(database, session_id)


@breaks("fork_of_a_fork_keeps_its_turns")
class SharesOwnTurnsAlone(Reference):
    def rows(self, database: sqlite3.Connection, session_id: str, turns: TurnRange) -> list[str]:
        if session_id == "grandchild":
            return super().rows(database, session_id, attrs.evolve(turns, start=2))
        return super().rows(database, session_id, turns)


@breaks("fork_of_a_deleted_session_is_deleted_too")
class RefusesToForgetForks(Reference):
    def delete(self, database: sqlite3.Connection, session_id: str) -> bool:
        return session_id == "child" or super().delete(database, session_id)


@breaks("fork_is_listed_with_the_turns_that_it_shares")
class CountsOwnTurnsAlone(Reference):
    def summary(
        self, database: sqlite3.Connection, session_id: str, head: str, updated: int
    ) -> SessionSummary:
        summary = super().summary(database, session_id, head, updated)
        count = "SELECT count(*) FROM turns WHERE session = ?"
        (number,) = database.execute(count, (session_id,)).fetchone()
        return attrs.evolve(summary, num_turns=number)


@breaks("range_of_a_fork_goes_over_both")
class CutsOwnTurnsAlone(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        found = super().load_trajectory(session_id, None)
        if found is None or turns is None or turns.last != 3:
            return super().load_trajectory(session_id, turns)
        return attrs.evolve(found, turns=own_turns(found.turns))


def own_turns(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return tuple(turn for turn in turns if turn.index >= 3)
