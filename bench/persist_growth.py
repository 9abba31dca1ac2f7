"""What storing a turn costs late in a session and early in it: jsonl beside the existing wrapper.

    python3 dev.py bench persist_growth [--turns 1000] [--json]

A turn is 19 tool calls and a text, 20 kB in all. Around turn 10 and around the last turn eleven
turns each are measured: the time, and the bytes that are handed to the system (so Linux only).
caw's storage gets what a session gives it at least, the turn as it starts and as it ends, and
syncs the end to the disk. The existing wrapper's ``SessionStore.append_turn`` gets the finished
turn, once, and syncs nothing; its sessions also write the whole record after each event of a turn,
which is left out here.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from _existing_wrapper import wrapper_python
from _report import Row, Target, arguments, report

from caw_core.blocks import TextBlock, ToolUse
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_jsonl.storage import JsonlStorage

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 19
PIECE = 980
"""Characters of each tool's output; with names and arguments the turn comes to 20 kB."""
EARLY = range(5, 16)
WINDOW = len(EARLY)
MOST_GROWTH = 1.5

WRAPPER_PROGRAM = """
import json, sys, time
from caw.models import TextBlock, ToolUse, Trajectory, Turn
from caw.storage import SessionStore
folder, turns, calls, piece, early, late = json.loads(sys.argv[1])
def make(index):
    output = [
        ToolUse(id=f"call-{index}-{n}", name="shell", arguments={"cmd": "ls"}, output="x" * piece)
        for n in range(calls)
    ]
    return Turn(input=f"prompt {index}", output=[*output, TextBlock(text="y" * piece)])
def written():
    return int(open("/proc/self/io").read().split("wchar: ")[1].split()[0])
store = SessionStore(folder, "session")
record = Trajectory(agent="codex", session_id="session")
taken = []
for index in range(turns):
    turn = make(index)
    record.turns.append(turn)
    if index in early or index in late:
        before, started = written(), time.perf_counter()
        store.append_turn(turn, record)
        taken.append((index, (time.perf_counter() - started) * 1e3, written() - before))
json.dump(taken, sys.stdout)
"""


@attrs.frozen
class Cost:
    """What one turn cost."""

    index: int
    ms: float
    written: int


def make_turn(index: int) -> Turn:
    """Return a finished turn of 20 kB."""
    calls = [
        ToolUse(
            id=f"call-{index}-{number}",
            name="shell",
            arguments={"cmd": "ls"},
            output="x" * PIECE,
        )
        for number in range(CALLS)
    ]
    output = (*calls, TextBlock(text="y" * PIECE))
    return Turn(index=index, input=f"prompt {index}", output=output, stop_reason="end_turn")


def written() -> int:
    """Return how many bytes this process has handed to write calls."""
    return int(Path("/proc/self/io").read_text("ascii").split("wchar: ")[1].split()[0])


def with_caw(folder: Path, turns: int) -> list[Cost]:
    """Store a whole session."""
    storage = JsonlStorage(folder)
    session = SessionInfo(session_id="session", provider="codex")
    lease = storage.lease_session(session_id="session")
    storage.persist_session(session=session)
    costs = []
    for index in range(turns):
        done = make_turn(index)
        begun = attrs.evolve(done, status="running", output=(), stop_reason=None)
        before, started = written(), time.perf_counter()
        storage.persist_turn(session=session, turn=begun)
        storage.persist_turn(session=session, turn=done)
        costs.append(Cost(index, (time.perf_counter() - started) * 1e3, written() - before))
    lease.release()
    return costs


def with_wrapper(folder: Path, turns: int) -> list[Cost]:
    """Have the existing wrapper store the measured turns of the same session."""
    late = range(turns - WINDOW, turns)
    given = json.dumps([str(folder), turns, CALLS, PIECE, list(EARLY), list(late)])
    done = subprocess.run(
        [wrapper_python(), "-c", WRAPPER_PROGRAM, given],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    return [Cost(*cost) for cost in json.loads(done.stdout)]


def windows(costs: list[Cost], turns: int) -> tuple[list[Cost], list[Cost]]:
    """Return the early and the late turns among *costs*."""
    early = [cost for cost in costs if cost.index in EARLY]
    return early, [cost for cost in costs if cost.index >= turns - WINDOW]


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, turns=1000)
    turns: int = given.turns
    if turns < EARLY.stop + WINDOW:
        sys.exit(f"--turns must be at least {EARLY.stop + WINDOW}")
    rows: list[Row] = []
    targets: list[Target] = []
    payload = (CALLS + 1) * PIECE
    cases: list[tuple[str, Callable[[Path, int], list[Cost]]]] = [
        ("caw", with_caw),
        ("existing wrapper", with_wrapper),
    ]
    with tempfile.TemporaryDirectory() as name:
        for who, store in cases:
            early, late = windows(store(Path(name) / who, turns), turns)
            for when, costs in (("turn 10", early), (f"turn {turns}", late)):
                times = tuple(cost.ms for cost in costs)
                sizes = tuple(cost.written / 1e3 for cost in costs)
                rows += [
                    Row(name=f"{who}, {when}, time", samples=times),
                    Row(name=f"{who}, {when}, written", samples=sizes, unit="kB"),
                ]
            growth = rows[-2].median / rows[-4].median
            bytes_growth = rows[-1].median / rows[-3].median
            ours = who == "caw"
            for what, value in (("time", growth), ("bytes", bytes_growth)):
                holds = value <= MOST_GROWTH if ours else None
                targets.append(Target(name=f"{who}, growth of {what}", value=value, holds=holds))
            if ours:
                share = statistics.median(cost.written for cost in late) / payload
                targets.append(Target(name="caw, bytes per byte", value=share, holds=share <= 2))  # noqa: PLR2004 - twice the payload
    report("persisting a turn", rows, targets, as_json=given.json)


if __name__ == "__main__":
    main()
