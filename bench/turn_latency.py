"""What a turn costs on top of the agent: by hand, through caw, through the existing wrapper.

    python3 dev.py bench turn_latency [--agent codex] [--turns 40] [--json]

All three drive the same real program, in the same home and folder, against the same scripted model
server on loopback, which answers at once with what it was asked, so what is left is the program and
its driver. ``by hand`` is the least that a client of the same protocol can do, in `_by_hand`. Each
driver has a Python of its own, with nothing else in it.

They take turns: by hand and caw each with a living program of their own, and which of them goes
first changes each time; the existing wrapper with a new program per turn, the one that npm puts on
PATH. For codex that is a node script which starts the native program, so there it is measured with
the native program as well, which is the best that it could have. As its turns of claude take a
second and those of opencode five, it has fewer of them. First turns are left out. Three times
everything is opened anew, in the other order: two processes of one program are not equally fast,
and of two opencodes the one that was started last is slower for tens of turns, whoever drives it.

What caw adds is the median of the differences between its turn and the one by hand of the same
round; it holds, or does not, if the whole interval is on one side. Beside it stands how much more
caw's process computes than the other one. Programs that are missing are installed from npm.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from _conversation import Conversation
from _existing_wrapper import wrapper_python
from _report import Row, Target, arguments, report

from caw_testkit.homes import ProgramHome, claude_home, codex_home, opencode_home
from caw_testkit.modelserver import ModelServer, echo
from caw_testkit.programs import installed_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from _conversation import Cost

BY_HAND = "by hand"
CAW = "caw"
WRAPPER = "existing wrapper"
OPENINGS = 4
MOST_ADDED_MS = 5.0


@attrs.frozen(kw_only=True)
class Case:
    """What is particular to an agent.

    Attributes:
        home: makes its program a home.
        times_faster: how many times faster than the existing wrapper caw should be.
        wrapper_every: the existing wrapper has a turn in every so manieth round. An odd number, for
            who comes after it finds the caches cold, and that should not always be the same one.
    """

    home: Callable[[Path, ModelServer], ProgramHome]
    times_faster: float
    wrapper_every: int


CASES = {
    "claude": Case(home=claude_home, times_faster=10, wrapper_every=3),
    "codex": Case(home=codex_home, times_faster=4, wrapper_every=1),
    "opencode": Case(home=opencode_home, times_faster=30, wrapper_every=7),
}


@contextlib.contextmanager
def conversations(agent: str, case: Case, *, caw_first: bool) -> Iterator[dict[str, Conversation]]:
    """Open a conversation for each row of the report."""
    program = installed_program(agent).path
    npm = next(up / ".bin" for up in program.parents if up.name == "node_modules")
    rows: dict[str, tuple[str, str | Path, Path]] = {
        BY_HAND: (BY_HAND, sys.executable, program.parent),
        CAW: (CAW, sys.executable, program.parent),
        WRAPPER: (WRAPPER, wrapper_python(), npm),
    }
    if not (npm / agent).samefile(program):
        rows[f"{WRAPPER}, native program"] = (WRAPPER, wrapper_python(), program.parent)
    node = Path(shutil.which("node") or "node").resolve().parent
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ModelServer())
        server.respond(echo)
        home = case.home(Path(stack.enter_context(tempfile.TemporaryDirectory())), server)
        opened = {}
        for name in reversed(rows) if caw_first else rows:
            driver, python, commands = rows[name]
            path = os.pathsep.join([str(commands), str(node), home.env["PATH"]])
            env = {**home.env, "PATH": path}
            conversation = Conversation(python, driver, agent, program, cwd=home.cwd, env=env)
            opened[name] = stack.enter_context(contextlib.closing(conversation))
        yield opened


def measure(agent: str, case: Case, turns: int) -> dict[str, list[Cost]]:
    """Have the turns of one agent; return what they cost by row, without the first ones."""
    costs: dict[str, list[Cost]] = {}
    each = max(1, turns // OPENINGS)
    for opening in range(OPENINGS):
        with conversations(agent, case, caw_first=bool(opening % 2)) as opened:
            for number in range(each + 1):
                order = [BY_HAND, CAW] if number % 2 else [CAW, BY_HAND]
                if number % min(case.wrapper_every, each) == 0:
                    order += [name for name in opened if name.startswith(WRAPPER)]
                for name in order:
                    cost = opened[name].turn(f"number {number}")
                    if number:
                        costs.setdefault(name, []).append(cost)
    return costs


def figures(agent: str, case: Case, costs: dict[str, list[Cost]]) -> tuple[list[Row], list[Target]]:
    """Make what is reported of an agent's turns."""
    rows = {
        name: Row(name=f"{agent}, {name}", samples=tuple(cost.wall for cost in taken))
        for name, taken in costs.items()
    }
    pairs = list(zip(costs[CAW], costs[BY_HAND], strict=True))
    added = sorted(ours.wall - bare.wall for ours, bare in pairs)
    low, high = median_interval(added)
    targets = [
        Target(
            name=f"{agent}, added by caw",
            value=statistics.median(added),
            holds=None if low <= MOST_ADDED_MS < high else high <= MOST_ADDED_MS,
            unit="ms",
            between=(low, high),
        ),
        Target(
            name=f"{agent}, computed by caw in that time",
            value=statistics.median(ours.cpu - bare.cpu for ours, bare in pairs),
            unit="ms",
        ),
    ]
    for name in filter(lambda name: name.startswith(WRAPPER), rows):
        times = rows[name].median / rows[CAW].median
        # Nobody has the others; they only show what the node script costs.
        holds = times >= case.times_faster if name == WRAPPER else None
        targets.append(
            Target(name=f"{agent}, times faster than the {name}", value=times, holds=holds)
        )
    return list(rows.values()), targets


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return between which of the sorted *values* the true median lies, at 95 %.

    How many of n values lie below it is binomial, n / 2 on average (the sign test).
    """
    rank = max(0, math.floor((len(values) - 1.96 * math.sqrt(len(values))) / 2))
    return values[rank], values[-1 - rank]


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, agent=("all", *CASES), turns=40)
    rows: list[Row] = []
    targets: list[Target] = []
    for agent in CASES if given.agent == "all" else [given.agent]:
        more_rows, more_targets = figures(
            agent, CASES[agent], measure(agent, CASES[agent], given.turns)
        )
        rows += more_rows
        targets += more_targets
    report("turn latency", rows, targets, as_json=given.json)


if __name__ == "__main__":
    main()
