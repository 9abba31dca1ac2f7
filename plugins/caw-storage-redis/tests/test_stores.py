"""What a store is on the server: its keys, its version, and what the server may do to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import StorageError, TrajectoryError
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent, SearchQuery, SessionPage, SessionQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_redis.durability import risks_of
from caw_storage_redis.url import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_redis.storage import RedisStorage
    from caw_testkit.redis_server import RedisServer

LARGE = 30_000
"""In bytes: so many turns of this size need several replies."""


def turn(index: int, text: str = "prompt") -> Turn:
    return Turn(index=index, input=f"{text} {index}")


def event(number: int) -> LiveEvent:
    return LiveEvent(turn=0, number=number, event=TextDelta(text="x"))


def test_reading_makes_nothing(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    storage = opened(server.url, prefix="unwritten")
    assert storage.load_trajectory("session-1") is None
    assert storage.list_sessions(SessionQuery()) == SessionPage()
    assert storage.search_sessions(SearchQuery(text="word")).hits == ()
    assert storage.read_events("session-1", "", 10, 0) == []
    assert storage.delete_session("session-1") is False
    assert list(client.scan_iter("*unwritten*")) == []


@pytest.mark.parametrize("other", ["b", "a:", "a:session", "A"])
def test_prefixes_do_not_mix(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
    other: str,
) -> None:
    client.flushall()
    one, two = opened(server.url, prefix="a"), opened(server.url, prefix=other)
    lease = one.lease_session(info.session_id)
    one.persist_turn(info, turn(0))
    one.publish_events(info.session_id, [event(0)])
    assert two.load_trajectory(info.session_id) is None
    assert two.list_sessions(SessionQuery()) == SessionPage()
    assert two.read_events(info.session_id, "", 10, 0) == []
    two.lease_session(info.session_id).release()
    two.persist_turn(info, turn(0, "other"))
    assert two.delete_session(info.session_id)
    record = one.load_trajectory(info.session_id)
    assert record is not None
    assert record.turns == (turn(0),)
    lease.release()


def test_all_keys_have_the_prefix_and_one_hash_tag(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
) -> None:
    client.flushall()
    storage = opened(server.url, prefix="mine")
    storage.lease_session(info.session_id)
    storage.persist_turn(info, turn(0))
    storage.publish_events(info.session_id, [event(0)])
    child = SessionInfo(session_id="child", provider="codex")
    assert storage.share_turns(child, info.session_id, 1)
    keys = [key.decode() for key in client.keys("*")]
    assert len(keys) > 8
    assert {key.partition(":")[0] for key in keys} == {"{mine}"}


def test_only_events_have_a_time_to_live(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
) -> None:
    client.flushall()
    storage = opened(server.url, prefix="living")
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, turn(0))
    storage.publish_events(info.session_id, [event(0)])
    mortal = [key for key in client.keys("*") if client.ttl(key) != -1]
    assert mortal == [b"{living}:events:session-1"]
    lease.release()


def test_store_of_a_newer_version_is_left_alone(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
) -> None:
    storage = opened(server.url, prefix="newer")
    storage.persist_turn(info, turn(0))
    client.hset("{newer}:store", "version", 999)
    with pytest.raises(StorageError, match="version 999"):
        storage.load_trajectory(info.session_id)
    with pytest.raises(StorageError, match="version 999"):
        storage.persist_turn(info, turn(1))


@pytest.mark.parametrize("key", ["session:session-1", "turns:1", "order:1"])
def test_record_that_was_evicted_in_part_is_damaged_and_not_absent(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
    key: str,
) -> None:
    client.flushall()
    storage = opened(server.url, prefix="evicted")
    storage.persist_turn(info, turn(0))
    assert client.delete(f"{{evicted}}:{key}") == 1
    with pytest.raises(TrajectoryError):
        storage.load_trajectory(info.session_id)
    page = storage.list_sessions(SessionQuery())
    assert len(page.sessions) + len(page.unreadable) == 1
    assert storage.delete_session(info.session_id)
    assert storage.load_trajectory(info.session_id) is None


def test_record_that_is_larger_than_a_reply_is_read_whole(
    storage: RedisStorage, info: SessionInfo
) -> None:
    lease = storage.lease_session(info.session_id)
    turns = [turn(index, "word " + "x" * LARGE) for index in range(700)]
    for each in turns:
        storage.persist_turn(info, each)
    record = storage.load_trajectory(info.session_id)
    assert record is not None
    assert list(record.turns) == turns
    hits = storage.search_sessions(SearchQuery(text="word", limit=1000)).hits
    assert [hit.turn for hit in hits] == list(range(700))
    lease.release()


def test_list_goes_on_where_a_script_stopped_looking(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    storage = opened(server.url, prefix="long")
    client.config_set("appendfsync", "no")
    try:
        storage.persist_turn(SessionInfo(session_id="first", provider="codex"), turn(0))
        for number in range(2100):
            storage.persist_session(SessionInfo(session_id=f"s{number}", provider="codex"))
    finally:
        client.config_set("appendfsync", "always")
    page = storage.list_sessions(SessionQuery(status="completed"))
    assert [each.info.session_id for each in page.sessions] == ["first"]
    assert page.next_cursor == ""


# --------------------------------------------------------------------------- the server's settings


def test_settings_that_lose_turns_are_told_once(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "caw.storage")
    client.config_set("appendfsync", "everysec")
    client.config_set("maxmemory", "1gb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        storage = opened(server.url, prefix="risky")
        for index in range(3):
            storage.persist_turn(info, turn(index))
    finally:
        client.config_set("appendfsync", "always")
        client.config_set("maxmemory-policy", "noeviction")
    (record,) = caplog.records
    assert "appendfsync is everysec" in record.message
    assert "allkeys-lru" in record.message
    assert settings_of(server.url).server["password"] not in record.message


def test_user_who_may_not_see_the_settings_can_write(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rights = ["~{limited}:*", "+@read", "+@write", "+@scripting", "+@connection", "+time"]
    client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", *rights)
    right = settings_of(server.url).server["password"]
    storage = opened(server.url.replace(f":{right}@", "limited:secret@"), prefix="limited")
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, turn(0))
    storage.publish_events(info.session_id, [event(0)])
    assert storage.read_events(info.session_id, "0.0", 1, 0.1) == []
    assert storage.load_trajectory(info.session_id) is not None
    lease.release()
    assert storage.delete_session(info.session_id)
    assert not [record for record in caplog.records if record.name == "caw.storage"]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"appendonly": "no"}, "snapshot"),
        ({"appendonly": "yes", "appendfsync": "no"}, "appendfsync is no"),
        ({"appendonly": "yes", "appendfsync": "always"}, ""),
        ({"maxmemory": "100", "maxmemory-policy": "allkeys-lfu"}, "allkeys-lfu"),
        ({"maxmemory": "100", "maxmemory-policy": "volatile-lru"}, ""),
        ({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, ""),
        ({}, ""),
    ],
)
def test_each_setting_says_what_it_puts_at_risk(settings: dict[str, str], word: str) -> None:
    risks = risks_of({name.encode(): value.encode() for name, value in settings.items()})
    assert len(risks) == bool(word)
    assert all(word in risk for risk in risks)
