"""Ending what an aborted tool left running.

Claude 2.1.197 answers an interrupt at once, and sends its shell a SIGTERM that the shell and what
it started may ignore: they then go on without anybody (observed). They carry a mark in their
environment, so they can be found on Linux; elsewhere they end with claude's own process group at
the latest.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Final

import attrs

from caw_core.process.group import marked_pids

GRACE_SECONDS: Final = 1.0
"""How long a process has to follow the SIGTERM that claude sent."""


@attrs.frozen(kw_only=True)
class _Running:
    """What ``/proc/PID/stat`` says; see ``proc_pid_stat(5)``. ``started`` is in clock ticks."""

    pid: int
    parent: int
    session: int
    started: int


def boot_ticks() -> int:
    """Return the present moment as ``/proc`` counts it: clock ticks since boot, 0 elsewhere."""
    if sys.platform != "linux":
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def end_leftovers(marker: str, claude: int, *, since: int, background: set[str]) -> None:
    """End what claude's tools started since a moment, after a short grace.

    Commands in the background stay, and so do MCP servers: what is ended began with a session
    leader, as claude's shells are, or with a process that has no parent left.

    Args:
        marker: what the processes of this claude carry in ``CAW_PROCESS_ID``.
        claude: its process id.
        since: a moment, from `boot_ticks`, before which the tool cannot have begun.
        background: claude's ids of the commands in the background.
    """
    left = _leftovers(marker, claude, since, background)
    if sys.platform != "linux" or not left:
        return
    with contextlib.ExitStack() as stack:
        handles = []
        for pid in left:
            # Handles, not numbers, so that a number that was given away again is never hit.
            with contextlib.suppress(OSError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])
        _wait(handles, GRACE_SECONDS)
        for handle in handles:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait(handles, GRACE_SECONDS)


def _leftovers(marker: str, claude: int, since: int, background: set[str]) -> list[int]:
    running = {}
    for pid in marked_pids(marker):
        with contextlib.suppress(OSError, ValueError, IndexError):
            running[pid] = _read(pid)
    roots: dict[int, _Running] = {}
    for pid, leaf in running.items():
        root = leaf
        while root.parent in running and root.parent != claude:
            root = running[root.parent]
        roots[pid] = root
    return [
        pid
        for pid, root in roots.items()
        if pid != claude
        and root.started >= since - 1
        and (root.parent != claude or root.session == root.pid)
        and _task(root.pid) not in background
    ]


def _task(pid: int) -> str:
    """Return the task id that a shell of claude's has, from the file that it writes to."""
    try:
        return (Path("/proc") / str(pid) / "fd" / "1").readlink().stem
    except OSError:
        return ""


def _read(pid: int) -> _Running:
    # The name may hold spaces and brackets, so what follows its last bracket is counted.
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return _Running(pid=pid, parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]))


def _wait(handles: list[int], seconds: float) -> None:
    if sys.platform == "win32":
        return
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    end, alive = time.monotonic() + seconds, set(handles)
    while alive and (left := end - time.monotonic()) > 0:
        for handle, _ in poller.poll(left * 1000):
            poller.unregister(handle)
            alive.discard(handle)
