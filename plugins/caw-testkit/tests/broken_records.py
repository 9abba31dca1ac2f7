"""Storages that lose, mix or change what they are given."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import attrs
from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.blocks import UnknownBlock
from caw_core.errors import StorageError
from caw_core.storage import TurnRange
from caw_core.trajectory import SessionInfo, Trajectory, Turn

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

# ---------------------------------------------------------------------------------------- records


@breaks("same_turn_twice_is_one_turn", "later_state_takes_the_place_of_an_earlier_one")
class AppendsEachCall(Reference):
    def read_turn(self, text: str) -> list[Turn]:
        return [Turn.from_dict(document) for document in self.parsed(text)]

    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        select = "SELECT document FROM turns WHERE session = ? AND place = ?"
        before = database.execute(select, (session_id, turn.index)).fetchone()
        documents = [*(json.loads(before[0]) if before else ()), self.document_of(turn)]
        row = (session_id, turn.index, json.dumps(documents), False, attempt)
        database.execute("INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?, ?)", row)


@breaks("turns_are_in_the_order_of_their_index")
class OrdersByWriting(Reference):
    order = "rowid"


@breaks("turns_are_in_the_order_of_their_index")
class OrdersAsText(Reference):
    order = "CAST(place AS TEXT)"


@breaks("hole_stays_a_hole")
class CountsTurnsAnew(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        record = super().load_trajectory(session_id, turns)
        if record is None:
            return None
        anew = [attrs.evolve(turn, index=index) for index, turn in enumerate(record.turns)]
        return attrs.evolve(record, turns=tuple(anew))


@breaks("sessions_do_not_mix")
class TakesIdsForPatterns(Reference):
    same = "session LIKE ?"


@breaks("ids_that_differ_in_case_do_not_mix")
class IgnoresCase(Reference):
    same = "session = ? COLLATE NOCASE"


@breaks("two_stores_do_not_mix")
class KeepsAllInOnePlace(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder.parent / "records.db"


@breaks("session_that_was_never_stored_is_none")
class MakesWhatIsAskedFor(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        found = super().load_trajectory(session_id, turns)
        return found or Trajectory(session_id=session_id, provider="")


@breaks("late_snapshot_does_not_overwrite_the_end")
class LetsTheLastWriteWin(Reference):
    newer = "TRUE"


@breaks("attempt_is_no_version")
class OrdersByAttempt(Reference):
    newer = "excluded.attempt >= turns.attempt"


@breaks("turn_that_never_ended_is_unknown")
class ReturnsRunningTurns(Reference):
    def read_turn(self, text: str) -> list[Turn]:
        return [Turn.from_dict(self.parsed(text))]


@breaks("turn_that_never_ended_is_unknown", "one_storage_reads_while_another_writes")
class PassesOverRunningTurns(Reference):
    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        if turn.status != "running":
            super().write_turn(database, session_id, turn, attempt)


@breaks("head_that_comes_with_a_turn_is_kept", "session_is_resumed_by_its_id")
class KeepsTheFirstHead(Reference):
    def write_head(self, database: sqlite3.Connection, session: SessionInfo) -> None:
        select = "SELECT 1 FROM heads WHERE session = ?"
        if database.execute(select, (session.session_id,)).fetchone() is None:
            super().write_head(database, session)


@breaks("hooks_and_declared_capabilities_agree", capabilities=frozenset({"durable"}))
class DeclaresTooLittle(Reference):
    pass


# ----------------------------------------------------------------------------------------- values


@breaks("unknown_blocks_and_members_survive", "unknown_members_survive_a_later_write")
class DropsUnknownBlocks(Reference):
    def document_of(self, turn: Turn) -> dict[str, Any]:
        known = tuple(block for block in turn.output if not isinstance(block, UnknownBlock))
        return attrs.evolve(turn, output=known).to_dict()


@breaks("unknown_blocks_and_members_survive", "record_of_each_version_can_be_kept")
class DropsUnknownMembers(Reference):
    def document_of(self, turn: Turn) -> dict[str, Any]:
        return attrs.evolve(turn, extra={}).to_dict()


@breaks("text_comes_back")
class EndsTextsAtNul(Reference):
    def parsed(self, text: str) -> Any:
        return super().parsed(text.replace("\\u0000", ""))


@breaks("text_comes_back")
class ReplacesHalvesOfCharacters(Reference):
    def document_of(self, turn: Turn) -> dict[str, Any]:
        text = json.dumps(turn.to_dict(), ensure_ascii=False).encode(errors="replace")
        return dict(json.loads(text))


@breaks("text_comes_back")
class NormalisesTexts(Reference):
    def parsed(self, text: str) -> Any:
        whole = json.dumps(json.loads(text), ensure_ascii=False)
        return json.loads(unicodedata.normalize("NFC", whole))


@breaks("text_of_20_megabytes_comes_back")
class HasALongestDocument(Reference):
    def document_of(self, turn: Turn) -> dict[str, Any]:
        document = super().document_of(turn)
        if len(json.dumps(document)) > 2**24:
            raise StorageError("the document is larger than 16 MB")
        return document
