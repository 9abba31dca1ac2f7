"""Events of running sessions, kept for a while for those who follow them from other processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent, place_of
from caw_storage_sqlite import documents
from caw_storage_sqlite.lease import HOLDER, NOW, Holder
from caw_storage_sqlite.reading import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_storage_sqlite.connections import Connection

MOST_EVENTS = 1000
"""How many events of a running session are kept, at most."""

MOST_BYTES = 4 * 2**20
"""How large their documents are together, at most."""

MOST_BYTES_AFTER = 64 * 2**10
"""The same for a session that has ended."""

SECONDS_AFTER = 60
"""How long the last events of a session stay, at least, once nobody writes it."""

_ROW_EVENTS = 50
_ROW_BYTES = 16 * 2**10
"""How much is put into one row: whole rows are dropped, so they must not be large."""

_INSERT = f"""
INSERT INTO events (session_id, written, turn, number, count, size, document)
VALUES (?, {NOW}, ?, ?, ?, ?, ?)
"""  # noqa: S608 - a constant

_OVERTAKEN = "DELETE FROM events WHERE session_id = ? AND (turn, number) >= (?, ?)"

_TRIM = """
DELETE FROM events WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(count) OVER newer AS events, sum(size) OVER newer AS bytes,
            row_number() OVER newer AS place
        FROM events WHERE session_id = :session_id
        WINDOW newer AS (ORDER BY turn DESC, number DESC)
    ) WHERE (events > :events OR bytes > :bytes) AND place > 1
)
"""

_READ = """
SELECT document FROM events
WHERE session_id = ? AND (turn, number) > (?, ?) ORDER BY turn, number LIMIT ?
"""

_RESTING = f"""
SELECT session_id, until > {NOW}, {HOLDER} FROM events LEFT JOIN leases USING (session_id)
GROUP BY session_id HAVING max(events.written) < {NOW} - {SECONDS_AFTER * 1000}
"""  # noqa: S608 - constants


def publish(connection: Connection, session_id: str, events: Sequence[LiveEvent]) -> None:
    """Keep *events*, at least one, and no more than the last ones of the session."""
    # What comes again, after a failure or a crash, takes the place of what was there.
    connection.execute(_OVERTAKEN, (session_id, *events[0].place))
    for row in _rows(events):
        connection.execute(_INSERT, (session_id, *row))
    select = "SELECT ended FROM sessions WHERE session_id = ?"
    ended = connection.execute(select, (session_id,)).fetchone() == (1,)
    _trim(connection, session_id, MOST_BYTES_AFTER if ended else MOST_BYTES)


def end(connection: Connection, session_id: str) -> None:
    """Keep the last few events of a session that has ended."""
    _trim(connection, session_id, MOST_BYTES_AFTER)


def read(connection: Connection, session_id: str, after: str, limit: int) -> list[LiveEvent]:
    """Return the events that follow *after*, at most *limit*.

    Raises:
        ConfigError: *after* is no cursor of an event.
    """
    place = place_of(after)
    found: list[LiveEvent] = []
    values = (session_id, *(min(number, LARGEST) for number in place), limit)
    for (text,) in connection.execute(_READ, values):
        found += [event for event in _events(text) if event.place > place]
        if len(found) >= limit:
            break
    return found[:limit]


def sweep(connection: Connection) -> None:
    """Drop the events of sessions that nobody has written for a while."""
    for session_id, in_time, *holder in connection.execute(_RESTING).fetchall():
        if not in_time or Holder(*holder).is_dead():
            connection.execute("DELETE FROM events WHERE session_id = ?", (session_id,))


def _rows(events: Sequence[LiveEvent]) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield place, number, size and document of as many rows as it takes."""
    texts: list[str] = []
    size = 0
    for place, event in enumerate(events):
        text = documents.to_text([event.turn, event.number, event_to_dict(event.event)])
        texts.append(text)
        size += len(text)
        last = place == len(events) - 1
        if last or len(texts) == _ROW_EVENTS or size >= _ROW_BYTES:
            yield event.turn, event.number, len(texts), size, f"[{','.join(texts)}]"
            texts, size = [], 0


def _events(text: str) -> Iterator[LiveEvent]:
    for turn, number, document in json.loads(text):
        yield LiveEvent(turn=turn, number=number, event=event_from_dict(document))


def _trim(connection: Connection, session_id: str, most_bytes: int) -> None:
    values = {"session_id": session_id, "events": MOST_EVENTS, "bytes": most_bytes}
    connection.execute(_TRIM, values)
