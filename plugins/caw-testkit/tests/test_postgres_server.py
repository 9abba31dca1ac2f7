"""The PostgreSQL servers that tests start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from caw_testkit import local_servers
from caw_testkit.postgres_server import PostgresMissingError, PostgresServer, find_programs

OWNER = """
import sys
from caw_testkit.postgres_server import PostgresServer

with PostgresServer() as server:
    print(server.folder, server.pid, flush=True)
    sys.stdin.read()
"""


def has_ended(process: psutil.Process) -> bool:
    """Wait for the end of a process that is no child of this one."""
    return bool(psutil.wait_procs([process], timeout=100)[0])


def has_stopped(process: psutil.Process) -> bool:
    """Wait until a process is stopped, which the system tells a moment after the signal."""
    end = time.monotonic() + 100
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < end:
        time.sleep(0.01)
    return process.status() == psutil.STATUS_STOPPED


@pytest.fixture
def programs() -> Path:
    try:
        return find_programs()
    except PostgresMissingError as error:
        local_servers.missing(error)


@pytest.mark.usefixtures("programs")
def test_server_is_stopped_killed_and_started_again() -> None:
    with PostgresServer() as server:
        first = psutil.Process(server.pid)
        server.restart()
        second = psutil.Process(server.pid)
        assert has_ended(first)
        server.kill()
        assert has_ended(second)
        server.start()
        server.pause()
        assert has_stopped(psutil.Process(server.pid))
        server.resume()
        folder, last = server.folder, psutil.Process(server.pid)
    assert not folder.exists()
    assert has_ended(last)


@pytest.mark.usefixtures("programs")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_server_ends_with_a_run_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=-1, stdout=-1, text=True)
    assert owner.stdout is not None
    folder, pid = owner.stdout.readline().split()
    server = psutil.Process(int(pid))
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    assert has_ended(server)
    assert Path(folder).name.startswith("caw-pg-")


@pytest.mark.parametrize("ci", ["", "true"])
def test_machine_without_programs_skips_and_ci_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    outcome = pytest.fail.Exception if ci else pytest.skip.Exception
    with pytest.raises(outcome, match="none here"):
        local_servers.missing(PostgresMissingError("none here"))
