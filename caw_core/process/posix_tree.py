"""A program and its descendants on Linux and macOS: a group, and a marker for what leaves it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from caw_core.process.group import KILL, Listing, kill_marked, signal_group


def wait_unreaped(pid: int) -> bool:
    """Block until *pid* has exited without reaping it, so that its group's number stays taken.

    Returns:
        False where Python cannot do that, as on macOS before 3.13; nothing was waited for then.
    """
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return True


class PosixTree:
    """See `caw_core.process.tree.Tree`.

    Args:
        marker: what the program and its descendants carry in their environment.
        listing: how environments are read; None for this system's way.
        unreaped: how the program's end is seen before it is reaped.
    """

    def __init__(
        self,
        marker: str,
        *,
        listing: Listing | None = None,
        unreaped: Callable[[int], bool] = wait_unreaped,
    ) -> None:
        self._marker = marker
        self._listing = listing
        self._unreaped = unreaped
        # Once the program has been reaped, its number may come to mean somebody else.
        self._lock = threading.Lock()
        self._reaped = False

    def popen_options(self) -> dict[str, Any]:
        """Start in a session of its own, which is a group of its own without a terminal."""
        return {"start_new_session": True}

    def adopt(self, popen: subprocess.Popen[bytes]) -> None:
        """Remember it; it has been the leader of its group since before it ran."""
        self._popen = popen

    def ask_to_end(self) -> None:
        """Send SIGTERM to the group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the group and to all that carries the marker."""
        self._signal(KILL)
        kill_marked(self._marker, listing=self._listing)

    def wait(self) -> int:
        """Wait, and end the rest of the group."""
        if not self._unreaped(self._popen.pid):
            # A number stays taken while a group of that number has members.
            self._popen.wait()
        with self._lock:
            signal_group(self._popen.pid, KILL)
            self._reaped = True
            return self._popen.wait()

    def end_rest(self) -> None:
        """End what left the group."""
        kill_marked(self._marker, listing=self._listing)

    def _signal(self, number: int) -> None:
        with self._lock:
            if not self._reaped:
                signal_group(self._popen.pid, number)
