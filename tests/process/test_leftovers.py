"""What is left of a host that was killed together with what cleans up after it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from caw_core.process.group import Listing
from caw_core.process.hosts import end_leftovers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows leaves nothing")

HOST = """
import sys, threading
from pathlib import Path
from caw_core.process import Process, child_environment
up = threading.Event()
code = "import time; print('up', flush=True); time.sleep(600)"
process = Process(
    [sys.executable, "-c", code],
    cwd=Path.cwd(),
    env=child_environment({}),
    on_line=lambda _: up.set(),
)
up.wait()
print(process.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def host() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        try:
            yield popen
        finally:
            popen.kill()


@pytest.fixture
def orphan(host: subprocess.Popen[str]) -> Iterator[int]:
    """Return a program whose host and reaper were killed at once."""
    assert host.stdout is not None
    pid = int(host.stdout.readline())
    [reaper] = [child for child in psutil.Process(host.pid).children() if child.pid != pid]
    reaper.suspend()
    host.kill()
    host.wait()
    reaper.kill()
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stranger() -> Iterator[int]:
    """Return a process that no host started, the leader of a group."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, process_group=0) as popen:
        yield popen.pid
        popen.kill()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_leftover_is_found_and_ended_once(
    orphan: int, host: subprocess.Popen[str], gone: Any, listing: Listing | None
) -> None:
    [found] = end_leftovers(listing=listing)
    assert (found.pid, found.host_pid) == (orphan, host.pid)
    assert found.program.startswith("python")
    assert gone(orphan)
    assert end_leftovers(listing=listing) == []


@pytest.mark.skipif(shutil.which("ps") is None, reason="the start of a group is known from ps")
def test_leftover_is_found_by_its_group_where_environments_are_hidden(
    orphan: int, gone: Any
) -> None:
    no_environments = list
    [found] = end_leftovers(listing=no_environments)
    assert found.pid == orphan
    assert gone(orphan)


def test_dry_run_ends_nothing(orphan: int) -> None:
    assert [found.pid for found in end_leftovers(dry_run=True)] == [orphan]
    assert is_alive(orphan)
    assert [found.pid for found in end_leftovers(dry_run=True)] == [orphan]


def test_programs_of_a_living_host_are_left_alone(host: subprocess.Popen[str]) -> None:
    assert host.stdout is not None
    pid = int(host.stdout.readline())
    assert end_leftovers() == []
    assert is_alive(pid)


def test_programs_of_a_host_that_is_stopped_are_left_alone(host: subprocess.Popen[str]) -> None:
    assert host.stdout is not None
    pid = int(host.stdout.readline())
    host.send_signal(signal.SIGSTOP)
    assert end_leftovers() == []
    assert is_alive(pid)


def test_host_that_ends_in_order_leaves_no_file(host: subprocess.Popen[str], home: Path) -> None:
    assert host.stdout is not None
    host.stdout.readline()
    assert [file.stat().st_mode & 0o777 for file in (home / "data/hosts").iterdir()] == [0o600]
    host.communicate("\n", timeout=60)
    assert list((home / "data/hosts").iterdir()) == []


def test_process_that_got_the_number_of_a_program_is_left_alone(stranger: int, home: Path) -> None:
    folder = home / "data/hosts"
    folder.mkdir(parents=True)
    # A day ago the number was another's; the last line was cut off as the host was killed.
    noted = f"host 4194304\n+{stranger} {time.time() - 86_400:.0f}\n+12"
    (folder / "0123456789abcdef").write_text(noted)
    assert end_leftovers() == []
    assert list(folder.iterdir()) == []
    assert is_alive(stranger)


def test_program_that_has_ended_is_not_looked_for(stranger: int, home: Path) -> None:
    folder = home / "data/hosts"
    folder.mkdir(parents=True)
    started = psutil.Process(stranger).create_time()
    (folder / "0123456789abcdef").write_text(f"host 4194304\n+{stranger} {started}\n-{stranger}\n")
    assert end_leftovers() == []
    assert is_alive(stranger)


def test_command_lists_what_it_ends(orphan: int) -> None:
    def gc(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "caw_core", "gc", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    shown = gc("--dry-run")
    assert shown.stdout.splitlines()[1].startswith(f"{orphan}\tpython")
    assert "not ended" in shown.stderr
    assert f'"pid": {orphan}' in gc("--json").stdout
    assert not is_alive(orphan)
    assert "nothing was left running" in gc().stderr
