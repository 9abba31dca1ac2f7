"""Servers that restart, die, are down or hang."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import StorageError
from caw_core.storage import SessionQuery
from caw_core.trajectory import SessionInfo, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_postgres.storage import PostgresStorage
    from caw_testkit.postgres_server import PostgresServer

KILLS = 5


def turn(index: int) -> Turn:
    return Turn(index=index, input=f"prompt {index}")


def states(storage: PostgresStorage, session_id: str) -> list[int]:
    record = storage.load_trajectory(session_id)
    assert record is not None
    return [each.index for each in record.turns]


def test_session_goes_on_when_the_server_was_restarted(
    server: PostgresServer, opened: Callable[..., PostgresStorage], info: SessionInfo
) -> None:
    storage = opened(server.url, schema="restarted")
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, turn(0))
    server.restart()
    storage.persist_turn(info, turn(1))
    server.restart()
    lease.renew()
    assert states(storage, info.session_id) == [0, 1]
    lease.release()


def test_no_acknowledged_turn_is_lost_when_the_server_is_killed(
    server: PostgresServer, opened: Callable[..., PostgresStorage], info: SessionInfo
) -> None:
    moments = random.Random(1)
    storage = opened(server.url, schema="killed")
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
        found = states(opened(server.url, schema="killed"), info.session_id)
        # The last one may have been stored, and its answer lost.
        assert found in (acknowledged, [*acknowledged, len(acknowledged)])


def test_server_that_is_down_is_an_error_and_no_absent_session(
    server: PostgresServer, opened: Callable[..., PostgresStorage], info: SessionInfo
) -> None:
    old = opened(server.url, schema="down")
    old.persist_turn(info, turn(0))
    server.stop()
    try:
        for storage in (old, opened(server.url, schema="down")):
            with pytest.raises(StorageError, match="cannot read session"):
                storage.load_trajectory(info.session_id)
            with pytest.raises(StorageError, match="schema 'down'"):
                storage.persist_turn(info, turn(1))
    finally:
        server.start()
    old.persist_turn(info, turn(1))
    assert states(old, info.session_id) == [0, 1]


def test_server_that_hangs_hangs_nobody(
    server: PostgresServer, opened: Callable[..., PostgresStorage], info: SessionInfo
) -> None:
    times = {"statement_timeout": 0.5, "connect_timeout": 2}
    old = opened(server.url, schema="hanging", **times)
    old.persist_turn(info, turn(0))
    server.pause()
    try:
        for storage in (old, opened(server.url, schema="hanging", **times)):
            with pytest.raises(StorageError):
                storage.persist_turn(info, turn(1))
            with pytest.raises(StorageError):
                storage.load_trajectory(info.session_id)
    finally:
        server.resume()
    old.persist_turn(info, turn(1))
    assert states(old, info.session_id) == [0, 1]


def test_statement_that_takes_too_long_is_an_error(
    server: PostgresServer, opened: Callable[..., PostgresStorage], info: SessionInfo
) -> None:
    import psycopg

    storage = opened(server.url, schema="locked", lock_timeout=0.2)
    storage.persist_turn(info, turn(0))
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE locked.sessions")
        with pytest.raises(StorageError, match="lock timeout"):
            storage.list_sessions(SessionQuery())
    assert storage.list_sessions(SessionQuery()).sessions
