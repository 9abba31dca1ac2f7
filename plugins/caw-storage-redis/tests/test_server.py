"""Servers that restart, die, are down, hang, forget scripts or have replicas."""

from __future__ import annotations

import random
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import StorageError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_redis.url import settings_of
from caw_testkit.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_redis.storage import RedisStorage

KILLS = 10


def turn(index: int) -> Turn:
    return Turn(index=index, input=f"prompt {index}")


def states(storage: RedisStorage, session_id: str) -> list[int]:
    record = storage.load_trajectory(session_id)
    assert record is not None
    return [each.index for each in record.turns]


def test_session_goes_on_when_the_server_was_restarted(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    storage = opened(server.url, prefix="restarted")
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, turn(0))
    server.restart()
    storage.persist_turn(info, turn(1))
    server.restart()
    lease.renew()
    assert states(storage, info.session_id) == [0, 1]
    lease.release()


def test_session_goes_on_when_the_scripts_were_flushed(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
) -> None:
    storage = opened(server.url, prefix="flushed")
    lease = storage.lease_session(info.session_id)
    for index in range(3):
        storage.persist_turn(info, turn(index))
        client.script_flush()
    lease.renew()
    client.script_flush()
    assert states(storage, info.session_id) == [0, 1, 2]
    lease.release()


def test_no_acknowledged_turn_is_lost_when_the_server_is_killed(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    moments = random.Random(1)
    storage = opened(server.url, prefix="killed")
    storage.lease_session(info.session_id)
    acknowledged: list[int] = []
    for _ in range(KILLS):
        enough = threading.Event()
        goal = len(acknowledged) + moments.randrange(1, 20)

        def write(enough: threading.Event = enough, goal: int = goal) -> None:
            index = len(acknowledged)
            while True:
                try:
                    storage.persist_turn(info, turn(index))
                except StorageError:
                    return
                acknowledged.append(index)
                index += 1
                if index >= goal:
                    enough.set()

        writer = threading.Thread(target=write)
        writer.start()
        enough.wait()
        server.kill()
        writer.join()
        server.start()
        found = states(opened(server.url, prefix="killed"), info.session_id)
        # The last one may have been stored, and its answer lost.
        assert found in (acknowledged, [*acknowledged, len(acknowledged)])


def test_server_that_is_down_is_an_error_and_no_absent_session(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    old = opened(server.url, prefix="down")
    old.persist_turn(info, turn(0))
    server.stop()
    try:
        for storage in (old, opened(server.url, prefix="down")):
            with pytest.raises(StorageError, match="cannot read session") as raised:
                storage.load_trajectory(info.session_id)
            assert raised.value.__cause__ is not None
            with pytest.raises(StorageError, match="prefix 'down'"):
                storage.persist_turn(info, turn(1))
    finally:
        server.start()
    old.persist_turn(info, turn(1))
    assert states(old, info.session_id) == [0, 1]


def test_server_that_hangs_hangs_nobody(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    patient = opened(server.url, prefix="hanging")
    patient.persist_turn(info, turn(0))
    old = opened(server.url, prefix="hanging", timeout=2)
    new = opened(server.url, prefix="hanging", timeout=2, connect_timeout=2)
    assert states(old, info.session_id) == [0]
    server.pause()
    try:
        with pytest.raises(StorageError):
            old.persist_turn(info, turn(1))
        with pytest.raises(StorageError):
            new.load_trajectory(info.session_id)
        with pytest.raises(StorageError):
            new.read_events(info.session_id, "", 10, 1000)
    finally:
        server.resume()
    patient.persist_turn(info, turn(1))
    assert states(patient, info.session_id) == [0, 1]


def test_lease_whose_answer_was_lost_is_given_to_whoever_asks_again(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    storage = opened(server.url, prefix="unanswered", timeout=3)
    assert storage.load_trajectory(info.session_id) is None
    server.pause()
    try:
        # What was sent waits in the socket, and is done later.
        with pytest.raises(StorageError):
            storage.lease_session(info.session_id)
    finally:
        server.resume()
    patient = opened(server.url, prefix="unanswered")
    assert patient.load_trajectory(info.session_id) is None
    storage.lease_session(info.session_id).release()


def test_write_that_no_replica_has_does_not_count(
    server: RedisServer, opened: Callable[..., RedisStorage], info: SessionInfo
) -> None:
    storage = opened(server.url, prefix="alone", wait_replicas=1, timeout=4)
    with pytest.raises(StorageError, match="0 of 1 replicas"):
        storage.persist_turn(info, turn(0))


def test_write_that_a_replica_has_counts(
    server: RedisServer,
    client: Any,
    opened: Callable[..., RedisStorage],
    info: SessionInfo,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    client.config_set("bind", "127.0.0.1")
    client.config_set("port", port)
    password = settings_of(server.url).server["password"]
    with RedisServer() as replica:
        path = settings_of(replica.url).server
        with type(client)(unix_socket_path=path["path"], password=path["password"]) as other:
            other.config_set("masterauth", password)
            other.execute_command("REPLICAOF", "127.0.0.1", port)
            storage = opened(server.url, prefix="replicated", wait_replicas=1, timeout=100)
            storage.persist_turn(info, turn(0))
            client.script_flush()
            storage.persist_turn(info, turn(1))
            assert states(opened(replica.url, prefix="replicated"), info.session_id) == [0, 1]
