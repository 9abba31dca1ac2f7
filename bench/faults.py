"""What goes wrong in practice, done to caw and to the existing wrapper in the same run.

    python3 dev.py bench faults [--rows kills writers] [--kills 1000] [--quick] [--json]

Each row is one fault. Both drivers meet it in processes of their own, one after the other, with a
bound on time and, where no real agent runs, on memory. The agents are stand-ins that write the same
bytes to both (see ``_faults_agent.py``), but for ``interrupt``: there the real programs run, with a
scripted model that has them start a command which ignores SIGTERM and holds its stdout. Records are
written without any program: by caw's echo, and by a provider of the wrapper's that finishes at
once. A driver that does not come back is ended, with all that it started, and that is told.

``--quick`` takes 10 MB, 50 kills and 40 sessions in place of 1 GB, 1,000 and 200.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from _existing_wrapper import wrapper_python
from _faults_half import GIBIBYTE, Outcome
from _faults_orders import (
    WORD,
    claude_text,
    claude_turn,
    codex_text,
    codex_turn,
    die,
    flood,
    pause,
    say,
    stand_in,
)

from caw_core.process.group import kill_marked
from caw_testkit.homes import bare_env, claude_home, codex_home, opencode_home
from caw_testkit.malformed import malformed_lines
from caw_testkit.modelserver import ModelServer, call, echo, reply
from caw_testkit.programs import installed_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import Call

HERE = Path(__file__).parent
MARK = "CAW_BENCH_FAULT"
CAW = "caw"
WRAPPER = "existing wrapper"
HALVES = {CAW: "caw", WRAPPER: "wrapper"}
REAL = ("claude", "codex", "opencode")
HOMES: dict[str, Callable[..., ProgramHome]] = {
    "claude": claude_home,
    "codex": codex_home,
    "opencode": opencode_home,
}
LONG_PROMPT = "p" * 200_000
LIMIT_TEXTS = (
    "The rate limit resets daily.",
    "A limit of 5 requests resets 3am (UTC), says the README.",
    "The test asserts that the usage limit is 100.",
)


@attrs.frozen(kw_only=True)
class Fault:
    """One row.

    Attributes:
        name: how ``--rows`` calls it.
        half: the function in both halves.
        demand: what a user needs.
        task: what the halves are told.
        records: whether it is in the halves about records.
        seconds: after which a half that does not answer is ended.
        real: the real agent that it is about; ``""`` for stand-ins.
    """

    name: str
    half: str
    demand: str
    task: dict[str, Any] = attrs.field(factory=dict)
    records: bool = False
    seconds: float = 60.0
    real: str = ""


def faults(*, kills: int, quick: bool) -> list[Fault]:
    """Return all rows."""
    flooded = 10_000_000 if quick else 10**9
    sessions = 40 if quick else 200
    many = {"sessions": sessions, "most": 1.5}
    size = "10 MB" if quick else "1 GB"
    programs = [
        Fault(
            name="stderr_pipe",
            half="turn",
            demand="65,537 bytes on stderr do not block",
            task={"prompt": "pipe"},
            seconds=20,
        ),
        Fault(
            name="stderr",
            half="turn",
            demand=f"{size} on stderr is survived in 256 MiB",
            task={"prompt": f"flood {flooded}", "mebibytes": 256},
        ),
        Fault(
            name="malformed",
            half="malformed",
            demand="a turn goes on after each of 24 malformed lines",
            task={"lines": list(malformed_lines(claude_text("quince").strip()))},
            seconds=120,
        ),
        Fault(name="crash", half="crash", demand="a program that dies in mid-turn is no success"),
        Fault(
            name="long_prompt",
            half="turn",
            demand="a prompt of 200 kB arrives",
            task={"agent": "codex", "prompt": LONG_PROMPT},
        ),
        Fault(name="argv", half="argv", demand="no prompt stands in the public command line"),
        Fault(
            name="limits",
            half="limits",
            demand="answers that talk about limits are answers",
            task={"texts": list(LIMIT_TEXTS)},
        ),
        Fault(name="end", half="end", demand="end() during a turn ends it and says so"),
        Fault(
            name="host",
            half="host",
            demand="no program outlives its host by 5 s",
            seconds=90,
        ),
        Fault(
            name="concurrent_programs",
            half="concurrent",
            demand=f"{sessions} programs wait 1 s each in 1.5 s",
            # Stacks of threads count in full.
            task={**many, "memory": 32 * GIBIBYTE},
            seconds=180,
        ),
    ]
    interrupts = [
        Fault(
            name=f"interrupt_{name}",
            half="interrupt",
            demand=f"{name} is interrupted within 2 s, the whole tree gone",
            task={"most": 2.0, "agent": name},
            seconds=150,
            real=name,
        )
        for name in REAL
    ]
    records = [
        Fault(
            name="kills",
            half="kills",
            demand=f"{kills:,} kills of the writer lose nothing",
            task={"kills": kills},
            seconds=60 + 3.0 * kills,
        ),
        Fault(
            name="concurrent",
            half="waits",
            demand=f"{sessions} sessions without programs wait 1 s each in 1.5 s",
            task=many,
            seconds=120,
        ),
        Fault(name="writers", half="writers", demand="a second writer is refused, nothing is lost"),
        Fault(name="ids", half="ids", demand="a session id that is a path leads nowhere"),
        Fault(name="handles", half="handles", demand="handles that are none are refused"),
        Fault(name="options", half="options", demand="unknown options are refused"),
        Fault(name="files", half="files", demand="records are the owner's, without secrets"),
        Fault(
            name="numbers",
            half="numbers",
            demand="a resume keeps 1,002 turns and the metadata",
            seconds=240,
        ),
    ]
    return [*programs, *interrupts, *(attrs.evolve(row, records=True) for row in records)]


def stand_ins(folder: Path) -> dict[str, str]:
    """Make the programs that take the agents' place."""
    turns = {
        "go": claude_turn(),
        "pipe": claude_turn(flood(65_537)),
        "flood 10000000": claude_turn(flood(10_000_000)),
        f"flood {10**9}": claude_turn(flood(10**9)),
        "!slow 1": claude_turn(pause(1)),
        "stall": claude_turn(pause(600)),
        "die": claude_turn(say(claude_text("half")), die()),
        **{text: claude_turn(text=text) for text in LIMIT_TEXTS},
    }
    spoilt = malformed_lines(claude_text("quince").strip())
    turns |= {name: claude_turn(say(line + b"\n")) for name, line in spoilt.items()}
    others = malformed_lines(codex_text("quince").strip())
    # The existing wrapper puts the system prompt before the prompt.
    plain = (LONG_PROMPT, "a-secret", "be-silent\n\na-secret")
    codex = dict.fromkeys(plain, codex_turn()) | {
        name: codex_turn(say(line + b"\n")) for name, line in others.items()
    }
    made = {"claude": turns, "codex": codex}
    return {name: str(stand_in(folder, name, own)) for name, own in made.items()}


@contextlib.contextmanager
def prepared(
    row: Fault, folder: Path, mark: str
) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Yield the task and the environment of a half of *row*."""
    task = {**row.task, "folder": str(folder / "work"), "word": WORD}
    Path(task["folder"]).mkdir()
    if not row.real:
        programs = stand_ins(folder)
        (folder / "codex-home").mkdir()
        paths = [str(Path(program).parent) for program in programs.values()]
        env = bare_env(folder) | {"CODEX_HOME": str(folder / "codex-home")}
        env["PATH"] = os.pathsep.join([*paths, env["PATH"]])
        yield {"memory": 6 * GIBIBYTE, **task, **programs}, env
        return
    with ModelServer() as server:
        program = installed_program(row.real).path
        home = HOMES[row.real](folder, server)
        server.script(reply(stubborn(row.real, Path(task["folder"]), mark)))
        server.respond(echo)
        npm = next(up / ".bin" for up in program.parents if up.name == "node_modules")
        node = Path(shutil.which("node") or "node").resolve().parent
        path = os.pathsep.join([str(npm), str(node), home.env["PATH"]])
        # As root claude refuses to do everything without asking, except in a sandbox.
        env = {**home.env, "PATH": path, "IS_SANDBOX": "1"}
        yield {**task, "program": str(program)}, env


def stubborn(agent: str, folder: Path, mark: str) -> Call:
    """Have an agent run what ignores SIGTERM and holds stdout, with a grandchild that does too."""
    stays = f'trap "" TERM; echo $$ >> {folder}/pids'
    both = f"[ $(wc -l < {folder}/pids) -eq 2 ]"
    command = (
        f"export {MARK}={mark}; sh -c '{stays}; exec sleep 3600' & {stays}; "
        f"until {both}; do sleep 0.05; done; touch {folder}/ready; wait"
    )
    match agent:
        case "claude":
            return call("Bash", {"command": command, "description": "wait"})
        case "codex":
            return call("exec_command", {"cmd": command, "yield_time_ms": 60_000})
        case _:
            return call("bash", {"command": command, "description": "wait"})


def meet(row: Fault, who: str) -> Outcome:
    """Let one of the two meet a fault, and return what came of it."""
    mark = uuid.uuid4().hex
    file = f"_faults_{HALVES[who]}{'_records' if row.records else ''}.py"
    python = sys.executable if who == CAW else wrapper_python()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with prepared(row, folder, mark) as (task, env):
            half = subprocess.Popen(
                [python, HERE / file, row.half],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=task["folder"],
                env={**env, MARK: mark, "CAW_HOME": str(folder / "caw")},
                start_new_session=True,
            )
            try:
                answer, errors = half.communicate(json.dumps(task).encode(), row.seconds)
            except subprocess.TimeoutExpired:
                return Outcome(good=False, said=f"hangs; ended after {row.seconds:.0f} s")
            finally:
                half.kill()
                kill_marked(mark, variable=MARK)
                # What was killed lets go of the pipes.
                half.communicate()
    if not answer:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        return Outcome(good=False, said=f"exit code {half.returncode} {' '.join(last)}"[:200])
    return Outcome(**json.loads(answer))


def show(rows: Sequence[tuple[Fault, dict[str, Outcome]]], *, as_json: bool) -> None:
    """Print what came of all."""
    if as_json:
        met = [
            {
                "row": row.name,
                "demand": row.demand,
                **{who: outcome.document() for who, outcome in outcomes.items()},
            }
            for row, outcomes in rows
        ]
        print(
            json.dumps(
                {
                    "benchmark": "faults",
                    "python": platform.python_version(),
                    "cores": os.cpu_count(),
                    "load": os.getloadavg()[0],
                    "rows": met,
                }
            )
        )
        return
    good = {who: sum(outcomes[who].good for _, outcomes in rows) for who in HALVES}
    print(", ".join(f"{who}: {count} of {len(rows)} hold" for who, count in good.items()))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--kills", type=int, default=0, help="default 1000, or 50 with --quick")
    parser.add_argument("--rows", nargs="+", help="only rows whose names begin so")
    return parser.parse_args()


def main() -> None:
    """Do all rows, and tell of each as it is done."""
    given = arguments()
    known = faults(kills=given.kills or (50 if given.quick else 1_000), quick=given.quick)
    beginnings = tuple(given.rows or [""])
    met = []
    for row in (row for row in known if row.name.startswith(beginnings)):
        print(f"{row.name}: {row.demand}", file=sys.stderr, flush=True)
        outcomes = {}
        for who in HALVES:
            started = time.monotonic()
            outcomes[who] = meet(row, who)
            verdict = "holds" if outcomes[who].good else "DOES NOT HOLD"
            took = f"[{time.monotonic() - started:.0f} s]"
            print(f"  {who:16} {verdict}: {outcomes[who].said} {took}", file=sys.stderr, flush=True)
        met.append((row, outcomes))
    if not met:
        sys.exit(f"which rows? There are: {', '.join(row.name for row in known)}")
    show(met, as_json=given.json)


if __name__ == "__main__":
    main()
