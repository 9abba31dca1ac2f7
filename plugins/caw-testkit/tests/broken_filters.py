"""Storages that find too much or too little where a list is asked for something."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import attrs
from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core.listing import matches
from caw_core.storage import SessionQuery, SessionSummary

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.trajectory import SessionInfo

SECOND = dt.timedelta(seconds=1)


@breaks("list_holds_what_was_asked_for")
class FindsPartsOfFolders(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        return summary.info.cwd.startswith(query.cwd) and matches(
            summary, attrs.evolve(query, cwd="")
        )


@breaks("list_holds_what_was_asked_for")
class ComparesAsPythonDoes(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        wanted, metadata = query.metadata, summary.info.metadata
        return all(metadata.get(name) == wanted[name] for name in wanted) and matches(
            summary, attrs.evolve(query, metadata={})
        )


@breaks("list_holds_what_was_asked_for")
class FindsTagsInText(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        text = ",".join(summary.info.tags)
        return all(tag in text for tag in query.tags) and matches(
            summary, attrs.evolve(query, tags=())
        )


@breaks("all_that_is_asked_for_must_hold")
class PassesOverTheSecondFilter(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        return matches(summary, attrs.evolve(query, metadata={} if query.tags else query.metadata))


@breaks("metadata_and_tags_can_be_changed_later")
class FindsByTheFirstHead(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with self.database() as database:
            database.execute("CREATE TABLE IF NOT EXISTS found (session PRIMARY KEY, words)")

    def write_head(self, database: sqlite3.Connection, session: SessionInfo) -> None:
        super().write_head(database, session)
        row = (session.session_id, json.dumps([dict(session.metadata), list(session.tags)]))
        database.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", row)

    def summary(
        self, database: sqlite3.Connection, session_id: str, head: str, updated: int
    ) -> SessionSummary:
        select = "SELECT words FROM found WHERE session = ?"
        (words,) = database.execute(select, (session_id,)).fetchone()
        metadata, tags = json.loads(words)
        found = super().summary(database, session_id, head, updated)
        info = attrs.evolve(found.info, metadata=metadata, tags=tuple(tags))
        return attrs.evolve(found, info=info)


@breaks("sessions_of_a_time")
class LeavesTheFirstMomentOut(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        since = query.since + SECOND if query.since else None
        return matches(summary, attrs.evolve(query, since=since))


@breaks("sessions_of_a_time")
class TakesTheLastMomentIn(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        until = query.until + SECOND if query.until else None
        return matches(summary, attrs.evolve(query, until=until))


@breaks("sessions_of_a_time")
class PassesOverTimeZones(Reference):
    def fits(self, summary: SessionSummary, query: SessionQuery) -> bool:
        since = query.since.replace(tzinfo=dt.UTC) if query.since else None
        return matches(summary, attrs.evolve(query, since=since))


@breaks("status_is_that_of_the_last_turn")
class ShowsTheFirstStatus(Reference):
    def status_of(
        self, database: sqlite3.Connection, session_id: str, turns: list[dict[str, Any]]
    ) -> str:
        return super().status_of(database, session_id, turns[:1])


@breaks("session_without_turns_has_no_status")
class TakesNothingForDone(Reference):
    def status_of(
        self, database: sqlite3.Connection, session_id: str, turns: list[dict[str, Any]]
    ) -> str:
        return super().status_of(database, session_id, turns) or "completed"


@breaks("turn_that_runs_is_listed_as_running")
class TakesEachRunningTurnForLost(Reference):
    def status_of(
        self, database: sqlite3.Connection, session_id: str, turns: list[dict[str, Any]]
    ) -> str:
        status = super().status_of(database, session_id, turns)
        return "unknown" if status == "running" else status


@breaks(
    "turn_that_runs_is_listed_as_running",
    "turn_of_a_dead_writer_is_listed_as_unknown",
    "turn_of_a_writer_whose_lease_ran_out_is_listed_as_unknown",
)
class ShowsTheStatusAsStored(Reference):
    def status_of(
        self, database: sqlite3.Connection, session_id: str, turns: list[dict[str, Any]]
    ) -> str:
        return str(turns[-1]["status"]) if turns else ""
