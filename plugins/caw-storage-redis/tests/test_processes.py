"""Forks, events, and connections that are given back."""

from __future__ import annotations

import gc
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import SessionBusyError, StorageError
from caw_core.events import TextDelta, TurnStarted
from caw_core.storage import LiveEvent
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_redis import open_storage
from caw_storage_redis.live import MOST, SILENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_redis.storage import RedisStorage
    from caw_testkit.redis_server import RedisServer

LAST_BYTES = 65_536
ENDED = SessionInfo(session_id="session-1", provider="codex", completed_at="x")


def event(number: int, text: str = "x", turn: int = 0) -> LiveEvent:
    return LiveEvent(turn=turn, number=number, event=TextDelta(text=text))


def others(client: Any) -> int:
    """Return how many connections the server has besides the one that asks."""
    return len(client.client_list()) - 1


def gone(client: Any) -> bool:
    """Wait until the server has seen that all connections ended."""
    deadline = threading.Event()
    return any(others(client) == 0 or deadline.wait(0.05) for _ in range(600))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_child_of_a_fork_has_connections_and_leases_of_its_own(
    storage: RedisStorage, info: SessionInfo
) -> None:
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, Turn(index=0, input="parent"))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        said = "nothing"
        try:
            record = storage.load_trajectory(info.session_id)
            said = f"{record.num_turns if record else None}"
            lease.release()
            try:
                storage.persist_turn(info, Turn(index=1, input="child"))
            except SessionBusyError:
                said += " busy"
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"1 busy"
    storage.persist_turn(info, Turn(index=1, input="parent"))
    record = storage.load_trajectory(info.session_id)
    assert record is not None
    assert [turn.input for turn in record.turns] == ["parent", "parent"]
    lease.release()
    os.close(reader)
    os.close(writer)


def test_no_more_than_the_last_events_are_kept(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    storage = opened(server.url, prefix="capped")
    key = "{capped}:events:session-1"
    for first in range(0, 3 * MOST, 100):
        batch = [event(number, "x" * 1000) for number in range(first, first + 100)]
        storage.publish_events("session-1", batch)
    held = storage.read_events("session-1", "", 10 * MOST, 0)
    assert MOST <= len(held) < 1.5 * MOST
    assert held[-1].number == 3 * MOST - 1
    assert client.ttl(key) > SILENT_SECONDS / 2
    storage.persist_session(ENDED)
    last = storage.read_events("session-1", "", 10 * MOST, 0)
    assert last == held[-len(last) :]
    texts = [each.event.text for each in last if isinstance(each.event, TextDelta)]
    assert 0 < sum(map(len, texts)) <= LAST_BYTES
    assert 0 < client.ttl(key) <= 120


def test_events_that_come_after_the_end_go_as_soon_as_the_others(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    storage = opened(server.url, prefix="late")
    storage.persist_session(ENDED)
    storage.publish_events("session-1", [event(0, "x" * LAST_BYTES), event(1)])
    assert storage.read_events("session-1", "", 10, 0) == [event(1)]
    assert 0 < client.ttl("{late}:events:session-1") <= 120


def test_turn_that_is_begun_anew_has_its_new_events(storage: RedisStorage) -> None:
    first = [event(0, turn=0), *(event(number, "old", turn=1) for number in range(5))]
    storage.publish_events("session-1", first)
    again = [LiveEvent(turn=1, number=0, event=TurnStarted(index=1)), event(1, "new", turn=1)]
    storage.publish_events("session-1", again)
    assert storage.read_events("session-1", "", 10, 0) == [first[0], *again]
    whole = [event(0, "newest"), event(1, "newest")]
    storage.publish_events("session-1", whole)
    assert storage.read_events("session-1", "", 10, 0) == whole


def test_wait_is_longer_than_the_servers_silence_may_be(
    opened: Callable[..., RedisStorage], url: str
) -> None:
    storage = opened(url, timeout=2)
    assert storage.read_events("session-1", "", 10, 2.5) == []


def test_writer_whose_lease_was_lost_publishes_nothing(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    late, other = opened(server.url, prefix="lost"), opened(server.url, prefix="lost")
    late.lease_session("session-1")
    client.hset("{lost}:lease:session-1", "expires", 1)
    lease = other.lease_session("session-1")
    other.publish_events("session-1", [event(0, "new")])
    with pytest.raises(SessionBusyError):
        late.publish_events("session-1", [event(1, "late")])
    assert other.read_events("session-1", "", 10, 0) == [event(0, "new")]
    lease.release()


def test_connections_are_given_back(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    storage = opened(server.url)
    storage.load_trajectory("session-1")
    assert others(client) == 1
    storage.close()
    assert gone(client)
    with pytest.raises(StorageError, match="closed"):
        storage.load_trajectory("session-1")


def test_connections_of_a_storage_that_nobody_holds_are_given_back(
    server: RedisServer, client: Any
) -> None:
    storage = open_storage(server.url)
    storage.load_trajectory("session-1")
    assert others(client) == 1
    del storage
    gc.collect()
    assert gone(client)


def test_threads_write_at_once(storage: RedisStorage) -> None:
    infos = [SessionInfo(session_id=f"s{number}", provider="codex") for number in range(16)]
    threads = [
        threading.Thread(target=storage.persist_turn, args=(each, Turn(index=0, input="x")))
        for each in infos
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(storage.load_trajectory(each.session_id) for each in infos)
