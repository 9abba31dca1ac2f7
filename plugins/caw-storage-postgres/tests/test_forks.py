"""Turns that sessions share, and what becomes of them when one is written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import psycopg

from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres.url import settings_of
from caw_testkit.postgres_server import server_url

if TYPE_CHECKING:
    from caw_storage_postgres.storage import PostgresStorage

CHILD = SessionInfo(session_id="child", provider="codex", forked_from="session-1")
GRANDCHILD = SessionInfo(session_id="grandchild", provider="codex", forked_from="child")


def turn(index: int, text: str = "old") -> Turn:
    return Turn(index=index, input=f"{text} {index}")


def inputs(storage: PostgresStorage, session_id: str) -> list[str]:
    record = storage.load_trajectory(session_id)
    assert record is not None
    return [each.input for each in record.turns]


def family(storage: PostgresStorage, info: SessionInfo) -> None:
    for index in range(4):
        storage.persist_turn(info, turn(index))
    assert storage.share_turns(CHILD, info.session_id, 3)
    storage.persist_turn(CHILD, turn(3, "child"))
    assert storage.share_turns(GRANDCHILD, CHILD.session_id, 4)


def test_parent_that_is_written_anew_changes_no_fork(
    storage: PostgresStorage, info: SessionInfo
) -> None:
    family(storage, info)
    storage.persist_turn(info, turn(1, "new"))
    assert inputs(storage, "session-1") == ["old 0", "new 1", "old 2", "old 3"]
    assert inputs(storage, "child") == ["old 0", "old 1", "old 2", "child 3"]
    assert inputs(storage, "grandchild") == ["old 0", "old 1", "old 2", "child 3"]


def test_fork_that_is_written_anew_changes_neither_parent_nor_fork(
    storage: PostgresStorage, info: SessionInfo
) -> None:
    family(storage, info)
    storage.persist_turn(CHILD, turn(1, "new"))
    assert inputs(storage, "session-1") == ["old 0", "old 1", "old 2", "old 3"]
    assert inputs(storage, "child") == ["old 0", "new 1", "old 2", "child 3"]
    assert inputs(storage, "grandchild") == ["old 0", "old 1", "old 2", "child 3"]


def test_turns_that_nobody_has_are_gone(
    storage: PostgresStorage, info: SessionInfo, url: str
) -> None:
    family(storage, info)
    table = psycopg.sql.Identifier(settings_of(url).schema, "turns")
    count = psycopg.sql.SQL("SELECT count(*) FROM {}").format(table)
    left = []
    with psycopg.connect(server_url(), autocommit=True) as connection:
        for session_id in ("session-1", "child", "grandchild"):
            assert storage.delete_session(session_id)
            left.append(connection.execute(count).fetchone())
    assert left == [(4,), (4,), (0,)]


def test_unfinished_turns_are_not_shared(storage: PostgresStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, attrs.evolve(turn(0), status="running"))
    assert not storage.share_turns(CHILD, info.session_id, 1)
    assert inputs(storage, "child") == []
    assert not storage.share_turns(CHILD, "never-stored", 1)
