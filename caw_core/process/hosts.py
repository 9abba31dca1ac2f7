"""What a host that runs agents leaves on disk, so that ``caw gc`` can clean up after it.

The reaper does that within seconds. It cannot when it is killed together with the host, as a
container's memory limit or a session's end may do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.folders import user_data_dir
from caw_core.locks import is_still_at, lock_descriptor
from caw_core.process.group import KILL, PROC, Listing, kill_marked, marked_pids, ps, signal_group

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("caw.process")

GRACE_SECONDS = 2.0
CLOCK_SECONDS = 2.0
"""By how much the moment that we note may differ from the start that the system tells."""


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


def end_leftovers(*, dry_run: bool = False, listing: Listing | None = None) -> list[Leftover]:
    """End what hosts that are gone left running, and forget these hosts.

    They are found by their environment, and by their group where its leader was started when ours
    was, since numbers are used again. Only hosts of the same user with the same ``CAW_HOME`` are
    known. A host that lives is left alone, whatever it runs. On Windows a host leaves nothing.

    Args:
        dry_run: only say what would be ended.
        listing: how the environments of processes are read; None for this system's way.

    Returns:
        The processes that were found; of a group that has cleared its environment, its leader.
    """
    found: list[Leftover] = []
    for path, text in _dead_hosts():
        host_pid, noted = _read(text)
        pids = set(marked_pids(path.name, listing=listing))
        groups = {pgid for pgid, at in noted.items() if abs(_started(pgid) - at) <= CLOCK_SECONDS}
        found += [
            Leftover(pid=pid, program=_program(pid), host_pid=host_pid)
            for pid in sorted(pids | groups)
        ]
        if not dry_run:
            _end(path.name, pids, groups, listing)
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


def _started(pid: int) -> float:
    with contextlib.suppress(ValueError):
        shown = ps("ps", "-o", "lstart=", "-p", str(pid)).decode().strip()
        return time.mktime(time.strptime(shown, "%a %b %d %H:%M:%S %Y"))
    return float("-inf")


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    return Path(ps("ps", "-o", "comm=", "-p", str(pid)).decode(errors="replace").strip()).name


def _end(marker: str, pids: set[int], groups: set[int], listing: Listing | None) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    left = {pgid for pgid in groups if signal_group(pgid, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and (left or marked_pids(marker, listing=listing)):
        time.sleep(0.02)
        left = {pgid for pgid in left if signal_group(pgid, 0)}
    for pgid in left:
        signal_group(pgid, KILL)
    # And what they started meanwhile.
    kill_marked(marker, listing=listing)
