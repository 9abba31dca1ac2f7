"""The live events of the reference storage: rows, and readers that look again and again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent, place_of

if TYPE_CHECKING:
    import contextlib
    import sqlite3
    from collections.abc import Sequence

EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT, turn INTEGER, number INTEGER, document
);
"""
MOST_EVENTS = 1000
MOST_BYTES = 4 << 20
PAUSE = 0.02


class Live:
    most_events = MOST_EVENTS
    most_bytes = MOST_BYTES

    if TYPE_CHECKING:

        def database(self) -> contextlib.AbstractContextManager[sqlite3.Connection]: ...
        def check_id(self, session_id: str) -> None: ...

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        self.check_id(session_id)
        with self.database() as database:
            database.executemany(
                "INSERT INTO events (session, turn, number, document) VALUES (?, ?, ?, ?)",
                [
                    (session_id, live.turn, live.number, json.dumps(event_to_dict(live.event)))
                    for live in events
                ],
            )
            self.trim(database, session_id)

    def trim(self, database: sqlite3.Connection, session_id: str) -> None:
        select = "SELECT id, length(document) FROM events WHERE session = ? ORDER BY id DESC"
        left = self.most_bytes
        for place, (row, size) in enumerate(database.execute(select, (session_id,)).fetchall()):
            left -= size
            if place and (place >= self.most_events or left < 0):
                drop = "DELETE FROM events WHERE session = ? AND id <= ?"
                database.execute(drop, (session_id, row))
                return

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        self.check_id(session_id)
        turn, number = place_of(after)
        deadline = time.monotonic() + wait_seconds
        while not (found := self.events_after(session_id, turn, number, limit)):
            if time.monotonic() >= deadline:
                break
            time.sleep(PAUSE)
        return found

    def events_after(self, session_id: str, turn: int, number: int, limit: int) -> list[LiveEvent]:
        with self.database() as database:
            rows = database.execute(
                "SELECT turn, number, document FROM events WHERE session = ? "
                "AND (turn, number) > (?, ?) ORDER BY id LIMIT ?",
                (session_id, turn, number, limit),
            ).fetchall()
        return [
            LiveEvent(turn=turn, number=number, event=event_from_dict(json.loads(text)))
            for turn, number, text in rows
        ]

    def delete_events(self, database: sqlite3.Connection, session_id: str) -> None:
        database.execute("DELETE FROM events WHERE session = ?", (session_id,))
