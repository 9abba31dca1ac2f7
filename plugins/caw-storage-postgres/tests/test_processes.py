"""Forks, watchers in other processes, and connections that are given back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from caw_core.errors import SessionBusyError, StorageError
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres import open_storage
from caw_storage_postgres.listening import Listeners
from caw_storage_postgres.live import LAST_BYTES, MOST, channel_of
from caw_storage_postgres.url import settings_of
from caw_testkit.postgres_server import server_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_postgres.storage import PostgresStorage

PUBLISHER = """
import sys
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent
from caw_storage_postgres import open_storage

storage = open_storage(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
storage.publish_events("session-1", [LiveEvent(turn=0, number=0, event=TextDelta(text="hello"))])
storage.close()
"""


def event(number: int, text: str = "x") -> LiveEvent:
    return LiveEvent(turn=0, number=number, event=TextDelta(text=text))


def connections(name: str) -> int:
    with psycopg.connect(server_url()) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        row = connection.execute(query, (name,)).fetchone()
    return int(row[0]) if row else -1


def gone(name: str) -> bool:
    """Wait until the server has seen that a connection ended."""
    pause = threading.Event()
    for _ in range(600):
        if not connections(name):
            return True
        pause.wait(0.05)
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_child_of_a_fork_has_connections_of_its_own(
    storage: PostgresStorage, info: SessionInfo
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


def test_watcher_is_woken_by_another_process(storage: PostgresStorage, url: str) -> None:
    storage.persist_session(SessionInfo(session_id="session-1", provider="codex"))
    settings = settings_of(url)
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert publisher.stdout is not None
    assert publisher.stdout.readline() == "ready\n"
    listeners = Listeners.of_process()
    with listeners.waiting(settings, channel_of(settings.schema), "session-1") as news:
        # Once when it begins to listen, since something may have come before.
        assert news.wait(60)
        news.clear()
        publisher.communicate("\n")
        assert news.wait(60)
    assert storage.read_events("session-1", "", 10, 60) == [event(0, "hello")]


def test_reader_that_waits_gets_what_comes(storage: PostgresStorage) -> None:
    found: list[LiveEvent] = []
    storage.publish_events("session-1", [event(0)])
    reader = threading.Thread(
        target=lambda: found.extend(storage.read_events("session-1", "0.0", 10, 60))
    )
    reader.start()
    storage.publish_events("session-1", [event(1)])
    reader.join()
    assert found == [event(1)]


def test_no_more_than_the_last_events_are_kept(storage: PostgresStorage, info: SessionInfo) -> None:
    for first in range(0, 3 * MOST, 100):
        batch = [event(number, "x" * 1000) for number in range(first, first + 100)]
        storage.publish_events(info.session_id, batch)
    held = storage.read_events(info.session_id, "", 10 * MOST, 0)
    assert MOST <= len(held) < 1.5 * MOST
    assert held[-1].number == 3 * MOST - 1
    storage.persist_session(SessionInfo(session_id="session-1", provider="codex", completed_at="x"))
    last = storage.read_events(info.session_id, "", 10 * MOST, 0)
    assert last == held[-len(last) :]
    texts = [each.event.text for each in last if isinstance(each.event, TextDelta)]
    assert 0 < sum(map(len, texts)) <= LAST_BYTES


def test_connections_are_given_back(opened: Callable[..., PostgresStorage], url: str) -> None:
    storage = opened(url, application_name="caw-closed")
    storage.load_trajectory("session-1")
    assert connections("caw-closed") == 1
    storage.close()
    assert gone("caw-closed")
    with pytest.raises(StorageError, match="closed"):
        storage.load_trajectory("session-1")


def test_connections_of_a_storage_that_nobody_holds_are_given_back(url: str) -> None:
    storage = open_storage(url + "&application_name=caw-dropped")
    storage.load_trajectory("session-1")
    assert connections("caw-dropped") == 1
    del storage
    gc.collect()
    assert gone("caw-dropped")


def test_threads_share_no_more_connections_than_allowed(
    opened: Callable[..., PostgresStorage], url: str
) -> None:
    storage = opened(url, application_name="caw-many", max_connections=2)
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
    assert connections("caw-many") <= 2
