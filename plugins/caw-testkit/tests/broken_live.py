"""Storages that lose, mix or keep too many of a running session's events."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.errors import ConfigError
from caw_core.events import UnknownEvent
from caw_core.storage import LiveEvent
from caw_core.trajectory import SessionInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@breaks("events_come_in_order_and_as_they_were")
class DropsUnknownEvents(Reference):
    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        known = [live for live in events if not isinstance(live.event, UnknownEvent)]
        super().publish_events(session_id, known)


@breaks("reading_goes_on_after_a_cursor")
class ComparesCursorsAsTexts(Reference):
    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        found = super().events_after(session_id, 0, -1, 10**6)
        after = f"{turn}.{number}"
        return [live for live in found if number < 0 or live.cursor > after][:limit]


@breaks("reading_goes_on_after_a_cursor")
class PassesOverTheLimit(Reference):
    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        return super().events_after(session_id, turn, number, 10**6)


@breaks("nothing_published_is_nothing_read")
class MakesASessionOfEvents(Reference):
    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        super().publish_events(session_id, events)
        with self.database() as database:
            self.write_head(database, SessionInfo(session_id=session_id, provider=""))


@breaks("events_of_sessions_do_not_mix")
class MixesSessions(Reference):
    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        super().publish_events(session_id[:1], events)

    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        return super().events_after(session_id[:1], turn, number, limit)


@breaks("what_was_left_out_shows_in_the_numbers")
class CountsAnew(Reference):
    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        found = super().events_after(session_id, 0, -1, 10**6)
        anew = [
            LiveEvent(turn=live.turn, number=place, event=live.event)
            for place, live in enumerate(found)
        ]
        return [live for live in anew if live.place > (turn, number)][:limit]


@breaks("only_so_many_events_are_kept", "only_so_many_bytes_are_kept")
class KeepsAllEvents(Reference):
    def trim(self, database: sqlite3.Connection, session_id: str) -> None:
        pass


@breaks("only_so_many_events_are_kept")
class KeepsHardlyAny(Reference):
    most_events = 10


@breaks("only_so_many_events_are_kept")
class KeepsTheFirst(Reference):
    def trim(self, database: sqlite3.Connection, session_id: str) -> None:
        drop = "DELETE FROM events WHERE session = ? AND number >= 1000"
        database.execute(drop, (session_id,))


@breaks("events_of_a_finished_session_can_still_be_read")
class DropsEventsAtTheEnd(Reference):
    def write_head(self, database: sqlite3.Connection, session: SessionInfo) -> None:
        super().write_head(database, session)
        if session.completed_at:
            self.delete_events(database, session.session_id)


@breaks("events_go_with_their_session")
class LeavesEventsBehind(Reference):
    def delete_events(self, database: sqlite3.Connection, session_id: str) -> None:
        pass


@breaks("cursor_of_no_event_is_refused")
class ReadsFromAnyCursor(Reference):
    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        try:
            return super().read_events(session_id, after, limit, wait_seconds)
        except ConfigError:
            return super().read_events(session_id, "", limit, wait_seconds)


@breaks("wait_ends_with_the_first_event", "reader_in_another_process_wakes_up", wake_up=1)
class SleepsThrough(Reference):
    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        time.sleep(2 * wait_seconds)
        return super().read_events(session_id, after, limit, 0)


@breaks("reader_in_another_process_wakes_up", "events_of_another_process_can_be_read", wake_up=1)
class KeepsEventsToItself(Reference):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.own: list[tuple[str, LiveEvent]] = []

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        self.own += [(session_id, live) for live in events]

    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        mine = [live for name, live in self.own if name == session_id]
        return [live for live in mine if live.place > (turn, number)][:limit]
