"""What is left of a host that was killed together with what cleans up after it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core.process.hosts import end_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="tells processes by /proc")

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


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAW_HOME", str(tmp_path))
    return tmp_path


def reaper_of(host_pid: int) -> int:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == host_pid and b"reaper.py" in (stat.parent / "cmdline").read_bytes():
                return int(stat.parent.name)
    pytest.fail("the host has no reaper")


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
    reaper = reaper_of(host.pid)
    os.kill(reaper, signal.SIGSTOP)
    host.kill()
    host.wait()
    os.kill(reaper, signal.SIGKILL)
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_leftover_is_found_and_ended_once(orphan: int, host: subprocess.Popen[str]) -> None:
    [found] = end_leftovers()
    assert (found.pid, found.host_pid) == (orphan, host.pid)
    assert found.program.startswith("python")
    assert not is_alive(orphan)
    assert end_leftovers() == []


def test_dry_run_ends_nothing(orphan: int) -> None:
    assert [found.pid for found in end_leftovers(dry_run=True)] == [orphan]
    assert is_alive(orphan)
    assert [found.pid for found in end_leftovers(dry_run=True)] == [orphan]


def test_programs_of_a_living_host_are_left_alone(host: subprocess.Popen[str]) -> None:
    assert host.stdout is not None
    pid = int(host.stdout.readline())
    assert end_leftovers() == []
    assert is_alive(pid)


def test_host_that_ends_in_order_leaves_no_file(host: subprocess.Popen[str], home: Path) -> None:
    assert host.stdout is not None
    host.stdout.readline()
    assert [file.stat().st_mode & 0o777 for file in (home / "data/hosts").iterdir()] == [0o600]
    host.communicate("\n", timeout=60)
    assert list((home / "data/hosts").iterdir()) == []


def test_file_of_a_dead_host_without_programs_is_removed(home: Path) -> None:
    folder = home / "data/hosts"
    folder.mkdir(parents=True)
    # Cut off in mid-line, and naming a process that is ours: only its marker would make it theirs.
    (folder / "0123456789abcdef").write_text(f"host 4194304\n+{os.getpid()} 1.0\n+12")
    assert end_leftovers() == []
    assert list(folder.iterdir()) == []
    assert is_alive(os.getpid())


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
