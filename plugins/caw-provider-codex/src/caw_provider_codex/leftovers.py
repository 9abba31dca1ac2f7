"""Ending what a conversation's commands left running, also what left its process group.

codex ends the group of a command; a program that made a session of its own is not in it. All
commands of a conversation carry a mark in their environment, and children inherit it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

MARK: Final = "CAW_CODEX_CONVERSATION"
"""The variable that holds the mark."""

_ROUNDS: Final = 5


def new_mark() -> str:
    """Return a mark that no other conversation has."""
    return os.urandom(12).hex()


def marked(mark: str) -> list[int]:
    """Return the processes that carry *mark*; Linux only, elsewhere there are none."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(mark: str) -> None:
    """End every process that carries *mark*, and those that they start meanwhile."""
    for _ in range(_ROUNDS):
        pids = marked(mark)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if not pids:
            return
