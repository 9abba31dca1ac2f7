"""Several processes: those that fork, and those that open the same file at the same time."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import SessionBusyError
from caw_core.trajectory import SessionInfo, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_storage_sqlite.storage import SqliteStorage

pytestmark = pytest.mark.filterwarnings(
    # Python 3.12 and newer warn of a fork beside threads, which is what is tested.
    "ignore:.*multi-threaded.*fork:DeprecationWarning"
)

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

MAKERS = 6


def in_child(call: Callable[[], None]) -> int:
    """Run *call* in a fork of this process; return its exit status."""
    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    process.join()
    return process.exitcode or 0


@forks
def test_child_of_a_fork_reads_and_writes(storage: SqliteStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, Turn(index=0, input="one"))

    def write() -> None:
        storage.persist_turn(info, Turn(index=1, input="two"))

    assert in_child(write) == 0
    storage.persist_turn(info, Turn(index=2, input="three"))
    record = storage.load_trajectory("session-1", None)
    assert record is not None
    assert [turn.input for turn in record.turns] == ["one", "two", "three"]


@forks
def test_what_the_child_writes_outlives_the_parents_last_connection(
    storage: SqliteStorage, reopen: Callable[[], SqliteStorage], info: SessionInfo
) -> None:
    # Whoever closes last copies the log and removes it. A child that had taken over the parent's
    # locks would go on writing into the one that was removed.
    storage.persist_turn(info, Turn(index=0, input="one"))
    go, gone = os.pipe(), os.pipe()

    def write() -> None:
        storage.persist_turn(info, Turn(index=1, input="two"))
        os.write(go[1], b"x")
        os.read(gone[0], 1)
        storage.persist_turn(info, Turn(index=2, input="three"))

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    os.read(go[0], 1)
    storage.close()
    os.write(gone[1], b"x")
    process.join()
    for end in (*go, *gone):
        os.close(end)
    record = reopen().load_trajectory("session-1", None)
    assert record is not None
    assert record.num_turns == 3


@forks
def test_parents_lease_is_not_the_childs(storage: SqliteStorage, info: SessionInfo) -> None:
    lease = storage.lease_session("session-1")

    def write() -> None:
        with pytest.raises(SessionBusyError):
            storage.persist_turn(info, Turn(index=0, input="one"))
        lease.release()

    assert in_child(write) == 0
    storage.persist_turn(info, Turn(index=0, input="one"))


@forks
def test_fork_waits_for_those_who_write(storage: SqliteStorage, info: SessionInfo) -> None:
    over = threading.Event()

    def write() -> None:
        index = 0
        while not over.is_set():
            storage.persist_turn(info, Turn(index=index, input="x" * 50_000))
            index += 1

    def load() -> None:
        storage.load_trajectory("session-1", None)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [in_child(load) for _ in range(5)] == [0] * 5
    finally:
        over.set()
        writer.join()


def test_processes_that_make_the_database_at_once_make_one(
    path: Path, storage: SqliteStorage
) -> None:
    program = """
import sys
from caw_core.trajectory import SessionInfo
from caw_storage_sqlite import open_storage
storage = open_storage("sqlite:///" + sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
storage.persist_session(SessionInfo(session_id=sys.argv[2], provider="p"))
"""
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), f"maker-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(MAKERS)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write(b"\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate()
    assert [maker.returncode for maker in makers] == [0] * MAKERS
    for number in range(MAKERS):
        assert storage.load_trajectory(f"maker-{number}", None) is not None
