"""What changes records; the functions run inside a transaction that writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from caw_core.listing import title_of
from caw_storage_sqlite import documents, search
from caw_storage_sqlite.reading import LARGEST

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn
    from caw_storage_sqlite.connections import Connection

_STATE = """
SELECT sessions.id, heads.document, turns.document, turns.status, indexed,
    max(floor, coalesce((SELECT max(written) FROM sessions), 0))
FROM store LEFT JOIN sessions ON session_id = ?
LEFT JOIN heads ON heads.session = sessions.id
LEFT JOIN turns ON turns.session = sessions.id AND number = ?
"""

_INSERT_SESSION = """
INSERT INTO sessions (session_id, written, provider, cwd, ended) VALUES (?, ?, ?, ?, ?)
"""

_COUNT_TURN = """
UPDATE sessions SET
    written = :written,
    num_turns = num_turns + :added,
    title = CASE WHEN :number <= coalesce(first_turn, :number) THEN :title ELSE title END,
    first_turn = min(coalesce(first_turn, :number), :number),
    status = CASE WHEN :number >= coalesce(last_turn, :number) THEN :status ELSE status END,
    last_turn = max(coalesce(last_turn, :number), :number)
WHERE id = :session
"""

_PUT_TURN = """
INSERT INTO turns (session, number, status, document) VALUES (?, ?, ?, ?)
ON CONFLICT (session, number)
DO UPDATE SET status = excluded.status, document = excluded.document
"""

_SHARE = """
INSERT INTO turns (session, number, status, document)
SELECT ?, number, status, document FROM turns WHERE session = ? AND number < ?
"""

_COUNT_SHARED = """
UPDATE sessions SET (num_turns, first_turn, last_turn, status, title) = (
    SELECT count(*), min(own.number), max(own.number),
        (SELECT status FROM turns WHERE session = :session ORDER BY number DESC LIMIT 1),
        (SELECT title FROM sessions WHERE id = :parent)
    FROM turns AS own WHERE own.session = :session
)
WHERE id = :session
"""

_UNSHARED = """
id IN (SELECT document FROM turns WHERE session = :session) AND NOT EXISTS (
    SELECT 1 FROM turns WHERE document = documents.id AND session <> :session
)
"""

_ALONE = "id = :document AND NOT EXISTS (SELECT 1 FROM turns WHERE document = :document)"


@attrs.frozen
class Draft:
    """What is to be written, made before the transaction, in which others have to wait.

    Attributes:
        info: the head.
        head: its document.
        turn: the turn, if there is one.
        document: its document.
        text: what a search looks through.
    """

    info: SessionInfo
    head: str
    turn: Turn | None = None
    document: str = ""
    text: str = ""

    @classmethod
    def of(cls, info: SessionInfo, turn: Turn | None = None) -> Draft:
        """Return the draft of a head, or of a head and a turn."""
        head = documents.head_text(info)
        if turn is None:
            return cls(info, head)
        return cls(info, head, turn, documents.turn_text(turn), documents.search_text(turn))


@attrs.frozen
class _State:
    """What is stored before a write.

    Attributes:
        session: the session's row.
        head: its head's document.
        document: the turn's document.
        status: the turn's status.
        indexed: up to which document the index of words has come.
        written: the time of the last write to the database; no two writes have the same.
    """

    session: int | None
    head: str | None
    document: int | None
    status: str | None
    indexed: int
    written: int


def write(connection: Connection, draft: Draft) -> None:
    """Bring a record up to *draft*; what is there already is not written again."""
    number = draft.turn.index if draft.turn else None
    state = _State(*connection.execute(_STATE, (draft.info.session_id, number)).fetchone())
    written = max(state.written + 1, time.time_ns() // 1000)
    session, changed = _write_head(connection, draft, state, written)
    if draft.turn is not None and not _is_stored(connection, draft, draft.turn, state):
        _write_turn(connection, session, draft, draft.turn, state, written)
    elif changed:
        connection.execute("UPDATE sessions SET written = ? WHERE id = ?", (written, session))


def share(connection: Connection, draft: Draft, parent_id: str, stop: int) -> bool:
    """Let a record without turns begin with another's; False if it did not come to that."""
    select = "SELECT id FROM sessions WHERE session_id = ?"
    parent = connection.execute(select, (parent_id,)).fetchone()
    if parent is None:
        return False
    write(connection, draft)
    (session,) = connection.execute(select, (draft.info.session_id,)).fetchone()
    select = "SELECT number, status, document FROM turns WHERE session = ? AND number < ?"
    wanted = connection.execute(select, (*parent, stop)).fetchall()
    found = connection.execute(select, (session, LARGEST)).fetchall()
    if found or not wanted or any(status == "running" for _, status, _ in wanted):
        return bool(found == wanted)
    connection.execute(_SHARE, (session, *parent, stop))
    connection.execute(_COUNT_SHARED, {"session": session, "parent": parent[0]})
    return True


def delete(connection: Connection, session_id: str) -> bool:
    """Delete a record but for the turns that a fork of it has; tell whether there was one."""
    connection.execute("DELETE FROM events WHERE session_id = ?", (session_id,))
    select = "SELECT id, written FROM sessions WHERE session_id = ?"
    row = connection.execute(select, (session_id,)).fetchone()
    if row is None:
        return False
    session, written = row
    # Times are never given twice, so that what comes later is not taken for indexed already.
    connection.execute("UPDATE store SET floor = max(floor, ?)", (written,))
    search.forget(connection, _UNSHARED, {"session": session})
    connection.execute(f"DELETE FROM documents WHERE {_UNSHARED}", {"session": session})  # noqa: S608 - a constant
    connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
    return True


def _write_head(
    connection: Connection, draft: Draft, state: _State, written: int
) -> tuple[int, bool]:
    """Return the session's row, and whether anything was written."""
    info = draft.info
    if state.session is not None and state.head == draft.head:
        return state.session, False
    listed = (documents.column(info.provider), documents.column(info.cwd), bool(info.completed_at))
    if state.session is None:
        cursor = connection.execute(_INSERT_SESSION, (info.session_id, written, *listed))
        session = int(cursor.lastrowid or 0)
    else:
        session = state.session
        update = "UPDATE sessions SET provider = ?, cwd = ?, ended = ? WHERE id = ?"
        connection.execute(update, (*listed, session))
    connection.execute("INSERT OR REPLACE INTO heads VALUES (?, ?)", (session, draft.head))
    connection.execute("DELETE FROM labels WHERE session = ?", (session,))
    labels = documents.labels_of(info.metadata, info.tags)
    rows = [(session, label) for label in sorted(labels)]
    connection.executemany("INSERT INTO labels VALUES (?, ?)", rows)
    return session, True


def _is_stored(connection: Connection, draft: Draft, turn: Turn, state: _State) -> bool:
    if turn.status == "running" and state.status not in (None, "running"):
        # It comes late: the turn has ended.
        return True
    if state.status != turn.status:
        return False
    select = "SELECT document = ? FROM documents WHERE id = ?"
    row = connection.execute(select, (draft.document, state.document)).fetchone()
    return bool(row == (1,))


def _write_turn(
    connection: Connection,
    session: int,
    draft: Draft,
    turn: Turn,
    state: _State,
    written: int,
) -> None:
    if state.document is not None and _may_change(state):
        update = "UPDATE documents SET text = ?, document = ? WHERE id = ?"
        connection.execute(update, (draft.text, draft.document, state.document))
        if turn.status != state.status:
            update = "UPDATE turns SET status = ? WHERE session = ? AND number = ?"
            connection.execute(update, (turn.status, session, turn.index))
    else:
        connection.execute(_PUT_TURN, (session, turn.index, turn.status, written))
        if state.document is not None:
            values = {"document": state.document}
            search.forget(connection, _ALONE, values)
            connection.execute(f"DELETE FROM documents WHERE {_ALONE}", values)  # noqa: S608 - a constant
        row = (written, draft.text, draft.document)
        connection.execute("INSERT INTO documents VALUES (?, ?, ?)", row)
    counted: dict[str, object] = {
        "written": written,
        "added": state.document is None,
        "number": turn.index,
        "title": documents.column(title_of(turn.input)),
        "status": turn.status,
        "session": session,
    }
    connection.execute(_COUNT_TURN, counted)


def _may_change(state: _State) -> bool:
    # A turn that runs is in no fork; and what is in the index of words must be taken out of it.
    return state.status == "running" and (state.document or 0) > state.indexed
