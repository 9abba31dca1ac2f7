"""What is in the tables: one row for each document, no more than needed, and no less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import StorageError, TrajectoryFormatError
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent, SessionQuery, TurnRange
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_sqlite import live

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_storage_sqlite.storage import SqliteStorage

    Ask = Callable[..., list[tuple[object, ...]]]


def events(count: int, size: int = 10) -> list[LiveEvent]:
    return [
        LiveEvent(turn=0, number=number, event=TextDelta(text="x" * size))
        for number in range(count)
    ]


def test_each_turn_has_one_document(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    for status in ("running", "running", "completed", "completed"):
        storage.persist_turn(info, Turn(index=0, input="one", status=status))
    assert database("SELECT count(*), count(DISTINCT document) FROM documents") == [(1, 1)]


def test_same_call_twice_writes_nothing(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    turn = Turn(index=0, input="one")
    storage.persist_turn(info, turn)
    before = database("SELECT session_id, written FROM sessions")
    storage.persist_turn(info, turn)
    storage.persist_session(info)
    assert database("SELECT session_id, written FROM sessions") == before


def test_fork_copies_no_document(storage: SqliteStorage, info: SessionInfo, database: Ask) -> None:
    for index in range(3):
        storage.persist_turn(info, Turn(index=index, input="x" * 1000))
    child = SessionInfo(session_id="child", provider="codex", forked_from="session-1")
    assert storage.share_turns(child, "session-1", 2)
    assert database("SELECT count(*) FROM documents") == [(3,)]
    storage.delete_session("session-1")
    assert database("SELECT count(*) FROM documents") == [(2,)]
    storage.delete_session("child")
    assert database("SELECT count(*) FROM documents") == [(0,)]


def test_rewritten_turn_stays_as_it_was_in_the_fork(
    storage: SqliteStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, Turn(index=0, input="as it was"))
    child = SessionInfo(session_id="child", provider="codex")
    storage.share_turns(child, "session-1", 1)
    storage.persist_turn(info, Turn(index=0, input="rewritten"))
    records = [storage.load_trajectory(name, None) for name in ("session-1", "child")]
    assert [record.turns[0].input for record in records if record] == ["rewritten", "as it was"]


def test_deleted_session_leaves_no_row(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.persist_session(
        SessionInfo(session_id="a", provider="p", metadata={"a": 1}, tags=("t",))
    )
    storage.persist_turn(SessionInfo(session_id="a", provider="p"), Turn(index=0, input="one"))
    storage.publish_events("a", events(1))
    storage.delete_session("a")
    tables = ("sessions", "heads", "labels", "turns", "documents", "events", "leases")
    counts = [database(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608 - constants
    assert counts == [[(0,)]] * len(tables)


def test_deletion_gives_the_space_back(
    storage: SqliteStorage, info: SessionInfo, path: Path
) -> None:
    storage.persist_session(SessionInfo(session_id="small", provider="p"))
    storage.persist_turn(info, Turn(index=0, input="x" * 4_000_000))
    storage.close()
    assert path.stat().st_size > 4_000_000
    storage.delete_session("session-1")
    storage.close()
    assert path.stat().st_size < 500_000


def test_log_does_not_grow_with_what_is_written(
    storage: SqliteStorage, info: SessionInfo, path: Path
) -> None:
    for index in range(120):
        storage.persist_turn(info, Turn(index=index, input="x" * 400_000))
    assert path.stat().st_size > 40_000_000
    assert path.with_name("sessions.db-wal").stat().st_size < 20_000_000


def test_missing_turn_is_damage(storage: SqliteStorage, info: SessionInfo, database: Ask) -> None:
    for index in range(2):
        storage.persist_turn(info, Turn(index=index, input="x"))
    database("DELETE FROM turns WHERE number = 1")
    with pytest.raises(TrajectoryFormatError, match="turns are missing: 1"):
        storage.load_trajectory("session-1", None)


def test_damaged_document_is_named(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.persist_turn(info, Turn(index=7, input="x"))
    database("UPDATE documents SET document = substr(document, 5)")
    with pytest.raises(TrajectoryFormatError, match=r"sessions\.db: session 'session-1', turn 7"):
        storage.load_trajectory("session-1", None)
    head = storage.load_trajectory("session-1", TurnRange(last=0))
    assert head is not None
    assert head.info == info


def test_damaged_head_is_listed_as_unreadable(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.persist_session(info)
    database("UPDATE heads SET document = '{'")
    page = storage.list_sessions(SessionQuery())
    assert page.sessions == ()
    assert page.unreadable[0][0] == "session-1"


def test_documents_can_be_read_with_sqlites_own_functions(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.persist_turn(info, Turn(index=0, input="déjà vu", output=(TextBlock(text="ja"),)))
    assert database("SELECT document ->> '$.input' FROM documents") == [("déjà vu",)]


def test_clock_that_was_put_back_keeps_the_order_of_writes(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.persist_session(SessionInfo(session_id="first", provider="p"))
    database("UPDATE sessions SET written = written + 86400000000")
    storage.persist_session(info)
    sessions = storage.list_sessions(SessionQuery()).sessions
    assert [summary.info.session_id for summary in sessions] == ["session-1", "first"]


def test_turn_beyond_what_sqlite_counts_is_a_storage_error(
    storage: SqliteStorage, info: SessionInfo
) -> None:
    with pytest.raises(StorageError, match="too large"):
        storage.persist_turn(info, Turn(index=2**63, input="x"))


def test_events_of_an_ended_session_are_few(
    storage: SqliteStorage, info: SessionInfo, database: Ask
) -> None:
    storage.publish_events("session-1", events(40, 10_000))
    ended = SessionInfo(session_id="session-1", provider="p", completed_at="2026-01-01T00:00:00Z")
    storage.persist_session(ended)
    assert 0 < int(str(database("SELECT sum(size) FROM events")[0][0])) <= live.MOST_BYTES_AFTER
    assert storage.read_events("session-1", "0.38", 10, 0) == events(40, 10_000)[39:]


def test_events_go_once_nobody_has_written_for_a_while(
    storage: SqliteStorage, database: Ask
) -> None:
    lease = storage.lease_session("running")
    for name in ("running", "resting", "fresh"):
        storage.publish_events(name, events(1))
    database("UPDATE events SET written = written - 61000 WHERE session_id <> 'fresh'")
    storage.lease_session("another").release()
    assert database("SELECT DISTINCT session_id FROM events ORDER BY 1") == [
        ("fresh",),
        ("running",),
    ]
    lease.release()


def test_events_that_come_again_are_there_once(storage: SqliteStorage) -> None:
    published = events(6)
    storage.publish_events("a", published[:4])
    storage.publish_events("a", published[2:])
    assert storage.read_events("a", "0.1", 10, 0) == published[2:]


def test_metadata_is_compared_as_json(storage: SqliteStorage) -> None:
    for number, value in enumerate((1, 1.0, True, "1", {"a": 1, "b": 2})):
        info = SessionInfo(session_id=f"s{number}", provider="p", metadata={"x": value})
        storage.persist_session(info)

    def found(value: object) -> list[str]:
        page = storage.list_sessions(SessionQuery(metadata=json.loads(json.dumps({"x": value}))))
        return sorted(summary.info.session_id for summary in page.sessions)

    assert found(1) == ["s0", "s1"]
    assert found(True) == ["s2"]
    assert found({"b": 2, "a": 1}) == ["s4"]
