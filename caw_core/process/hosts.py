"""What a host that runs agents leaves on disk, so that ``caw gc`` can clean up after it.

The reaper does that within seconds. It cannot when it is killed together with the host, as a
container's memory limit or a session's end may do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.folders import user_data_dir
from caw_core.locks import is_still_at, lock_descriptor
from caw_core.process.group import kill_marked, marked_pids

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("caw.process")

GRACE_SECONDS = 2.0
_CLOCK_SECONDS = 2.0
_PROC = Path("/proc")


class HostFile:
    """One file of this process, locked for as long as the process lives.

    Its name is the marker that the host's programs carry; its lines are the host's process id, and
    ``+PGID TIME`` and ``-PGID`` for each program that was started and has ended.

    Args:
        marker: the host's.
    """

    def __init__(self, marker: str) -> None:
        self.path = _folder() / marker
        self._fd = -1
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            lock_descriptor(self._fd)
            self.note(f"host {os.getpid()}")
        except OSError as error:
            log.warning("caw gc will not know of this process's agents: %s", error)

    def note(self, line: str) -> None:
        """Add a line; on a full disk the file is less use, and nothing else is wrong."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, line.encode() + b"\n")

    def remove(self) -> None:
        """Nothing of this host's is left; idempotent."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.let_go()

    def let_go(self) -> None:
        """Close the file; in a fork of the host, whose parent keeps the lock."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@attrs.frozen(kw_only=True)
class Leftover:
    """A process that a host which is gone left running.

    Attributes:
        pid: its process id.
        program: its name, as the system shows it; ``""`` where that is not known.
        host_pid: what the host's process id was; 0 where that is not known.
    """

    pid: int
    program: str
    host_pid: int


def end_leftovers(*, dry_run: bool = False) -> list[Leftover]:
    """End what hosts that are gone left running, and forget these hosts.

    Only hosts of the same user with the same ``CAW_HOME`` are known. A host that lives is left
    alone, whatever it runs. Not on Windows, where it finds nothing.

    Args:
        dry_run: only say what would be ended.

    Returns:
        The processes that were found.
    """
    found: list[Leftover] = []
    if sys.platform == "win32":
        return found
    for path, text in _dead_hosts():
        host_pid, groups = _read(text)
        pids = marked_pids(path.name) if _PROC.is_dir() else _same_groups(groups)
        found += [Leftover(pid=pid, program=_program(pid), host_pid=host_pid) for pid in pids]
        if not dry_run:
            _end(path.name, pids)
            with contextlib.suppress(OSError):
                path.unlink()
    return found


def _folder() -> Path:
    return user_data_dir() / "hosts"


def _dead_hosts() -> Iterator[tuple[Path, str]]:
    folder = _folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            # While it is locked here, no second `caw gc` works on it.
            if lock_descriptor(fd) and is_still_at(fd, path):
                yield path, path.read_text(errors="replace")
        finally:
            os.close(fd)


def _read(text: str) -> tuple[int, dict[int, float]]:
    host_pid, groups = 0, {}
    for line in text.splitlines():
        # The last line may be cut off.
        with contextlib.suppress(ValueError):
            if line.startswith("host "):
                host_pid = int(line[5:])
            elif line.startswith("+"):
                pgid, _, started = line[1:].partition(" ")
                groups[int(pgid)] = float(started)
            elif line.startswith("-"):
                groups.pop(int(line[1:]), None)
    return host_pid, groups


def _same_groups(groups: dict[int, float]) -> list[int]:
    """Return the groups whose leader was started when ours was: numbers are used again."""
    return [pgid for pgid, at in groups.items() if abs(_started(pgid) - at) <= _CLOCK_SECONDS]


def _started(pid: int) -> float:
    env = {**os.environ, "LC_ALL": "C"}
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    with contextlib.suppress(OSError, ValueError):
        shown = subprocess.run(command, capture_output=True, text=True, env=env, check=False)  # noqa: S603 - fixed program, numeric argument
        return time.mktime(time.strptime(shown.stdout.strip(), "%a %b %d %H:%M:%S %Y"))
    return float("-inf")


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    return ""


def _end(marker: str, pids: list[int]) -> None:
    # Where they were found by their group, all of the group is meant.
    send = os.kill if _PROC.is_dir() else os.killpg
    for number in (signal.SIGTERM, signal.SIGKILL) if pids else ():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(pid, number)
        deadline = time.monotonic() + (GRACE_SECONDS if number == signal.SIGTERM else 0)
        while time.monotonic() < deadline and (send is os.killpg or marked_pids(marker)):
            time.sleep(0.02)
    # And what they started meanwhile.
    kill_marked(marker)
