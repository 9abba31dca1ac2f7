"""Turns that sessions share, and what becomes of them when one is written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.storage import SessionQuery, TurnRange
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_redis.server import Server
from caw_storage_redis.url import settings_of

if TYPE_CHECKING:
    from caw_storage_redis.storage import RedisStorage

CHILD = SessionInfo(session_id="child", provider="codex", forked_from="session-1")
GRANDCHILD = SessionInfo(session_id="grandchild", provider="codex", forked_from="child")


def turn(index: int, text: str = "old") -> Turn:
    return Turn(index=index, input=f"{text} {index}")


def inputs(storage: RedisStorage, session_id: str, turns: TurnRange | None = None) -> list[str]:
    record = storage.load_trajectory(session_id, turns)
    assert record is not None
    return [each.input for each in record.turns]


def counts(storage: RedisStorage) -> dict[str, int]:
    page = storage.list_sessions(SessionQuery())
    return {each.info.session_id: each.num_turns for each in page.sessions}


def keys(url: str) -> set[str]:
    server = Server(settings_of(url))
    pattern = server.key("*")
    found = server.ask("look", lambda client: list(client.scan_iter(pattern)))
    server.close()
    return {key.decode().partition(":")[2] for key in found}


def family(storage: RedisStorage, info: SessionInfo) -> None:
    for index in range(4):
        storage.persist_turn(info, turn(index))
    assert storage.share_turns(CHILD, info.session_id, 3)
    storage.persist_turn(CHILD, turn(3, "child"))
    assert storage.share_turns(GRANDCHILD, CHILD.session_id, 4)


def test_parent_that_is_written_anew_changes_no_fork(
    storage: RedisStorage, info: SessionInfo
) -> None:
    family(storage, info)
    storage.persist_turn(info, turn(1, "new"))
    assert inputs(storage, "session-1") == ["old 0", "new 1", "old 2", "old 3"]
    assert inputs(storage, "child") == ["old 0", "old 1", "old 2", "child 3"]
    assert inputs(storage, "grandchild") == ["old 0", "old 1", "old 2", "child 3"]
    assert counts(storage) == {"session-1": 4, "child": 4, "grandchild": 4}


def test_fork_that_is_written_anew_changes_neither_parent_nor_fork(
    storage: RedisStorage, info: SessionInfo
) -> None:
    family(storage, info)
    storage.persist_turn(CHILD, turn(1, "new"))
    storage.persist_turn(CHILD, turn(3, "newer"))
    assert inputs(storage, "session-1") == ["old 0", "old 1", "old 2", "old 3"]
    assert inputs(storage, "child") == ["old 0", "new 1", "old 2", "newer 3"]
    assert inputs(storage, "grandchild") == ["old 0", "old 1", "old 2", "child 3"]
    assert counts(storage) == {"session-1": 4, "child": 4, "grandchild": 4}


def test_range_and_fork_of_a_record_that_was_written_anew_hold_the_new_turns(
    storage: RedisStorage, info: SessionInfo
) -> None:
    family(storage, info)
    storage.persist_turn(info, turn(1, "new"))
    storage.persist_turn(info, turn(4, "new"))
    assert inputs(storage, "session-1", TurnRange(last=2)) == ["old 3", "new 4"]
    assert inputs(storage, "session-1", TurnRange(start=1, stop=4, last=3)) == [
        "new 1",
        "old 2",
        "old 3",
    ]
    other = SessionInfo(session_id="other", provider="codex", forked_from="session-1")
    assert storage.share_turns(other, info.session_id, 3)
    assert inputs(storage, "other") == ["old 0", "new 1", "old 2"]
    assert counts(storage)["other"] == 3


def test_turns_that_nobody_has_are_gone(storage: RedisStorage, info: SessionInfo, url: str) -> None:
    family(storage, info)
    storage.persist_turn(info, turn(1, "new"))
    server = Server(settings_of(url))
    assert storage.delete_session("session-1")
    kept = server.ask("look", lambda client: client.hlen(server.key("turns:1")))
    server.close()
    # Turns 0 to 2 with their states: turn 3 was the parent's alone.
    assert kept == 6
    assert inputs(storage, "grandchild") == ["old 0", "old 1", "old 2", "child 3"]
    for session_id in ("child", "grandchild"):
        assert storage.delete_session(session_id)
    assert keys(url) == {"store"}


def test_turns_that_are_not_there_are_not_shared(storage: RedisStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, turn(0))
    assert not storage.share_turns(CHILD, info.session_id, 2)
    assert not storage.share_turns(CHILD, "never-stored", 1)
    assert inputs(storage, "child") == []
    storage.persist_turn(CHILD, turn(0, "child"))
    assert not storage.share_turns(CHILD, info.session_id, 1)
    assert inputs(storage, "child") == ["child 0"]
