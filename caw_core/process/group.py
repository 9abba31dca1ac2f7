"""Process groups: how to start one, and how to end all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARKER = "CAW_PROCESS_ID"
"""The variable by which a program's descendants are known, also those that left its group."""


def new_group() -> dict[str, Any]:
    """Return the `subprocess.Popen` arguments that start a program in a group of its own."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def signal_group(pgid: int, number: int) -> None:
    """Send a signal to every member of a group; a group that is gone is fine."""
    if sys.platform == "win32":
        # Windows has no signals to groups: the tree is ended by the system's own tool.
        subprocess.run(  # noqa: S603 - fixed program, numeric argument
            ["taskkill", "/T", "/F", "/PID", str(pgid)],  # noqa: S607 - found by Windows itself
            capture_output=True,
            check=False,
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def wait_unreaped(pid: int) -> bool:
    """Block until *pid* has exited without reaping it, so that its group's number stays taken.

    Returns:
        False where the system cannot do that; nothing has been waited for then.
    """
    if not hasattr(os, "waitid"):
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return True


def new_marker() -> str:
    """Return a marker that nobody else has."""
    return os.urandom(12).hex()


def marked_pids(marker: str, variable: str = MARKER) -> list[int]:
    """Return the processes whose environment names *marker* in *variable*, Linux only.

    A shell that an agent started may have a group of its own; its environment still tells whose
    it is. Elsewhere the list is empty and the group must do.
    """
    beginning, wanted = f"{variable}=".encode(), marker.encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (entry / "environ").read_bytes()
            if any(item.startswith(beginning) and wanted in item for item in environ.split(b"\0")):
                found.append(int(entry.name))
    return found


def kill_marked(marker: str, seconds: float = 1.0, variable: str = MARKER) -> None:
    """End every process that `marked_pids` finds, and wait until they are gone.

    Args:
        marker: whose processes.
        seconds: how long to wait at most; a process in the kernel's hands cannot be hurried.
        variable: the variable that holds the marker.
    """
    deadline = time.monotonic() + seconds
    while pids := [pid for pid in marked_pids(marker, variable) if pid != os.getpid()]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if time.monotonic() >= deadline:
            return
        time.sleep(0.002)
