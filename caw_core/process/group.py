"""How to find and end all that a program started, on POSIX: by its group and its environment.

Imports nothing but the standard library, since the reaper runs it as a script's neighbour.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

MARKER = "CAW_PROCESS_ID"
"""The variable by which a program's descendants are known, also those that left its group."""

KILL: Final[int] = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The signal that nobody can ignore. Windows has none, and there nothing of this is sent."""

PROC: Final = Path("/proc")

Listing = Callable[[], Iterable[tuple[int, list[bytes]]]]
"""Returns each process with words that hold its environment, ``NAME=value``."""


def signal_group(pgid: int, number: int) -> bool:
    """Send a signal to every member of a group; False if there is none, or none of ours."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def new_marker() -> str:
    """Return a marker that nobody else has."""
    return os.urandom(12).hex()


def marked_pids(
    marker: str, variable: str = MARKER, *, listing: Listing | None = None
) -> list[int]:
    """Return the processes whose environment names *marker* in *variable*; none on Windows.

    A shell that an agent started may have a group of its own; its environment still tells whose
    it is. On macOS the system hides the environment of its own programs, such as ``/bin/sh``, but
    not of what they start.

    Args:
        marker: what the value must hold.
        variable: the variable's name.
        listing: where the environments are read; None for this system's way.
    """
    if sys.platform == "win32":
        return []
    beginning, wanted = f"{variable}=".encode(), marker.encode()
    return [
        pid
        for pid, words in (listing or system_listing())()
        if any(word.startswith(beginning) and wanted in word for word in words)
    ]


def system_listing() -> Listing:
    """Return this system's way to read the environments of processes."""
    return proc_listing if (PROC / "self/environ").exists() else ps_listing


def proc_listing() -> Iterator[tuple[int, list[bytes]]]:
    """Read ``/proc/PID/environ``, as Linux has it."""
    for entry in PROC.glob("[0-9]*"):
        # It has ended since, or belongs to somebody else.
        with contextlib.suppress(OSError):
            yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")


def ps_listing(
    command: tuple[str, ...] = ("ps", "-A", "-E", "-ww", "-o", "pid=,command="),
) -> Iterator[tuple[int, list[bytes]]]:
    """Ask ``ps``, as it is on macOS, where ``-E`` shows the environment behind the arguments."""
    for line in ps(*command).splitlines():
        pid, *words = line.split()
        yield int(pid), words


def ps(*command: str) -> bytes:
    """Return what a ``ps`` command says, in English; nothing if it is not there."""
    env = {**os.environ, "LC_ALL": "C"}
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, env=env, check=False).stdout  # noqa: S603 - fixed programs, numeric arguments
    return b""


def kill_marked(
    marker: str, seconds: float = 1.0, variable: str = MARKER, *, listing: Listing | None = None
) -> None:
    """End every process that `marked_pids` finds, and wait until they are gone.

    Args:
        marker: whose processes.
        seconds: how long to wait at most; a process in the kernel's hands cannot be hurried.
        variable: the variable that holds the marker.
        listing: as for `marked_pids`.
    """
    if sys.platform == "win32":
        return
    deadline = time.monotonic() + seconds
    while pids := [
        pid for pid in marked_pids(marker, variable, listing=listing) if pid != os.getpid()
    ]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, KILL)
        if time.monotonic() >= deadline:
            return
        time.sleep(0.002)
