"""One half of a row: what happens to one of the two drivers, in a process of its own.

The process gets its task as JSON on stdin and answers with one line of JSON. Nothing is imported
but the standard library, since the existing wrapper's environment has nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GIBIBYTE = 1 << 30


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        good: whether that is what a user needs.
        said: what happened, for people.
        figures: what was measured, by name.
    """

    good: bool
    said: str
    figures: Mapping[str, float] = MappingProxyType({})

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"good": self.good, "said": self.said, "figures": dict(self.figures)}


Task = dict[str, Any]
"""``folder`` to keep things in, ``claude`` and ``codex``, the stand-ins, and what the row adds."""


def run_half(halves: Mapping[str, Callable[[Task], Outcome]]) -> None:
    """Do the row that the command line names, and answer."""
    task = json.load(sys.stdin)
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # The existing wrapper displays what it does.
    if task.get("memory"):
        resource.setrlimit(resource.RLIMIT_DATA, (task["memory"], task["memory"]))
    try:
        outcome = halves[sys.argv[1]](task)
    except BaseException as error:  # noqa: BLE001 - it is the row's outcome
        outcome = Outcome(good=False, said=f"{type(error).__name__}: {str(error)[:200]}")
    os.write(answers, json.dumps(outcome.document()).encode())
    # Threads of a driver that hangs would keep the process.
    os._exit(0)


def turns_under_way(task: Task) -> list[int]:
    """Return the processes of the stand-ins that have begun a turn, also those that are gone."""
    found = Path(task["claude"]).parent.glob("turn-*")
    return [int(file.name.removeprefix("turn-")) for file in found]


def host_dies(half: str, task: Task) -> Outcome:
    """Have another process hold a turn, end that process, and see what becomes of the program.

    Args:
        half: the file that has the row ``hold``.
        task: as for all rows.
    """
    said, good = [], True
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = set(turns_under_way(task))
        host = subprocess.Popen(
            [sys.executable, half, "hold"], stdin=subprocess.PIPE, start_new_session=True
        )
        assert host.stdin is not None  # noqa: S101 - it was asked for
        host.stdin.write(json.dumps(task).encode())
        host.stdin.close()
        wait_for(partial(_began, task, before), 30)
        programs = _began(task, before)
        host.send_signal(number)
        host.wait()
        started = time.monotonic()
        gone = wait_for(partial(_gone, programs), 5)
        took = f"gone {time.monotonic() - started:.1f} s after" if gone else "alive 5 s after"
        said.append(f"{took} {number.name}")
        good = good and gone and bool(programs)
    return Outcome(good, f"the program is {', '.join(said)}")


def alive(pids: Sequence[int]) -> list[int]:
    """Return those of the processes that run."""
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def children() -> list[int]:
    """Return the processes that this one has started and that run."""
    listed = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    return alive([int(pid) for pids in listed for pid in pids])


def wait_for(happened: Callable[[], object], seconds: float) -> bool:
    """Wait for what tells of itself in no other way; False if it does not come in time."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


async def at_once(sessions: Sequence[Any], most: float) -> Outcome:
    """Have a turn of a second in each of the sessions, all at the same time."""
    started = time.monotonic()
    await asyncio.gather(*(session.send_async("!slow 1") for session in sessions))
    seconds = time.monotonic() - started
    said = f"{len(sessions)} turns of 1 s in {seconds:.2f} s"
    return Outcome(seconds <= most, said, {"seconds": seconds})


def listed(said: Mapping[str, str]) -> str:
    """Return what came of each of several things, for people."""
    return ", ".join(f"{name}: {what}" for name, what in said.items())


def readable(folder: Path) -> Outcome:
    """Look which of the files others may read, and which hold the secret ``hunter2``."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    others = [path for path in found if path.stat().st_mode & 0o077]
    secret = [path for path in found if b"hunter2" in path.read_bytes()]
    said = f"{len(others)} of {len(found)} files are open to others, {len(secret)} hold the secret"
    return Outcome(bool(found) and not (others or secret), said)


def peak_mebibytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _began(task: Task, before: set[int]) -> list[int]:
    return [pid for pid in turns_under_way(task) if pid not in before]


def _gone(pids: list[int]) -> bool:
    return not alive(pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
