"""Ending the commands of an interrupted turn that take no notice.

opencode 1.18.33 sends a command's process group SIGTERM when its turn is aborted, and SIGKILL three
seconds later (observed). That is longer than an interrupted turn may leave something behind.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, text
from caw_core.process.group import KILL, signal_group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from caw_provider_opencode.sse import Message

GRACE_SECONDS: Final = 1.0
"""How long a command has to follow the SIGTERM that opencode sent."""

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.05


class RunningCommands:
    """The commands of a turn that run, as its events tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, str] = {}

    def receive(self, message: Message) -> None:
        """Take an event; called in the reader's thread."""
        part = mapping(message.properties, "part")
        if message.type != "message.part.updated" or text(part, "type") != "tool":
            return
        state = mapping(part, "state")
        command = text(mapping(state, "input"), "command")
        with self._lock:
            if command and text(state, "status") == "running":
                self._running[text(part, "id")] = command
            else:
                self._running.pop(text(part, "id"), None)

    def groups(self, server: int) -> list[int]:
        """Return the process groups of the commands; none where there is no ``/proc``.

        opencode starts each in a session of its own, and says nowhere for whom. So a command is
        known by its words; if a session beside this one runs the same, both are left to opencode.

        Args:
            server: opencode's process id.
        """
        with self._lock:
            running = Counter(self._running.values())
        shells = list(_shells(server)) if running else []
        found = {
            command: [pid for pid, word in shells if word in (command, json.dumps(command))]
            for command in running
        }
        return [
            pid for command, pids in found.items() if len(pids) == running[command] for pid in pids
        ]


def end_groups(groups: Collection[int], *, since: float) -> None:
    """Kill what is left of the groups when their grace is over.

    Args:
        groups: what `RunningCommands.groups` gave.
        since: the moment of the abort, as `time.monotonic` counts.
    """
    end = since + GRACE_SECONDS
    while time.monotonic() < end and any(signal_group(group, 0) for group in groups):
        time.sleep(_POLL_SECONDS)
    for group in groups:
        signal_group(group, KILL)


def _shells(server: int) -> Iterator[tuple[int, str]]:
    """Yield opencode's children that lead a session, with their last argument."""
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name may hold spaces and brackets, so what follows its last bracket is counted.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == server and fields[3] == entry.name:
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                yield int(entry.name), words[-1].decode(errors="replace")
