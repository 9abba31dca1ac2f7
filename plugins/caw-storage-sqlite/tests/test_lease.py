"""Leases: who counts as dead, and what a clock that jumps can and cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core.errors import SessionBusyError
from caw_core.storage import ExpiringLease
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_sqlite.lease import Holder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_storage_sqlite.storage import SqliteStorage

    Ask = Callable[..., list[tuple[object, ...]]]
    Reopen = Callable[[], SqliteStorage]

linux = pytest.mark.skipif(
    not Holder.this().boot, reason="this system does not tell which boot and process it is"
)

PROGRAM = """
import sys
from caw_storage_sqlite import open_storage
lease = open_storage("sqlite:///" + sys.argv[1]).lease_session("session-1")
print("leased", flush=True)
sys.stdin.read()
"""


def test_it_is_one_that_runs_out(storage: SqliteStorage) -> None:
    assert isinstance(storage.lease_session("session-1"), ExpiringLease)


@linux
def test_lease_of_a_killed_process_is_free_at_once(
    storage: SqliteStorage, path: Path, info: SessionInfo
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "leased\n"
        with pytest.raises(SessionBusyError) as caught:
            storage.persist_session(info)
        assert caught.value.holder.startswith(f"process {holder.pid} on ")
        holder.kill()
        holder.wait()
        storage.lease_session("session-1").release()


@linux
def test_process_that_nobody_has_waited_for_is_dead(storage: SqliteStorage, path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.stdout.read()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        storage.lease_session("session-1").release()


@linux
@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"begun": 1}, True),
        ({"boot": "an earlier one"}, True),
        ({"boot": "", "pid": 1 << 30}, False),
        ({"boot": "another machine's", "host": "elsewhere"}, False),
        ({"space": "another container's", "pid": 1 << 30}, False),
    ],
)
def test_only_who_is_certainly_dead_counts_as_dead(change: dict[str, Any], *, dead: bool) -> None:
    assert attrs.evolve(Holder.this(), **change).is_dead() is dead


def test_clock_that_jumped_ahead_does_not_let_two_write(
    storage: SqliteStorage, reopen: Reopen, database: Ask, info: SessionInfo
) -> None:
    lost = storage.lease_session("session-1")
    storage.persist_turn(info, Turn(index=0, input="one"))
    # To a clock that is a day ahead, every lease has run out.
    database("UPDATE leases SET until = until - 86400000")
    other = reopen()
    taken = other.lease_session("session-1")
    with pytest.raises(SessionBusyError):
        storage.persist_turn(info, Turn(index=1, input="late"))
    with pytest.raises(SessionBusyError):
        lost.renew()
    other.persist_turn(info, Turn(index=1, input="two"))
    assert taken.token > lost.token


@linux
def test_clock_that_was_put_back_keeps_nobody_from_a_dead_ones_session(
    storage: SqliteStorage, reopen: Reopen, database: Ask
) -> None:
    storage.lease_session("session-1")
    database("UPDATE leases SET until = until + 86400000")
    with pytest.raises(SessionBusyError):
        reopen().lease_session("session-1")
    database("UPDATE leases SET begun = 1")
    reopen().lease_session("session-1")


def test_tokens_go_on_after_a_deletion(storage: SqliteStorage, info: SessionInfo) -> None:
    first = storage.lease_session("session-1")
    storage.persist_session(info)
    first.release()
    storage.delete_session("session-1")
    assert storage.lease_session("session-1").token > first.token


def test_leases_that_were_released_leave_no_rows(storage: SqliteStorage, database: Ask) -> None:
    for number in range(3):
        storage.lease_session(f"session-{number}").release()
    assert database("SELECT count(*) FROM leases") == [(0,)]


def test_lease_in_a_file_that_is_gone_is_released_all_the_same(
    storage: SqliteStorage, path: Path
) -> None:
    lease = storage.lease_session("session-1")
    path.rename(path.with_name("elsewhere.db"))
    lease.release()
