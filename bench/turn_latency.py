"""What a turn costs on top of the agent: codex by hand, through caw, through the existing wrapper.

    python3 dev.py bench turn_latency [--turns 30] [--json]

All three drive the same real codex program against the same scripted model server on loopback,
which answers at once with what it was asked, so what is left is the program and its driver. ``by
hand`` is the least that a client of the same protocol can do, in this file. The four rows take
turns: by hand and caw each with a living program of their own, the existing wrapper with a new one
per turn: the ``codex`` that npm puts on PATH, a node script that starts the native program, and in
the last row the native program itself, which is the best that it could have. First turns are left
out. codex is installed from npm when it is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _existing_wrapper import wrapper_python
from _report import Row, Target, arguments, report

from caw_core import Agent
from caw_testkit.homes import ProgramHome, codex_home
from caw_testkit.modelserver import ModelServer, echo
from caw_testkit.programs import installed_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core import Session

MOST_ADDED_MS = 5.0
TIMES_FASTER = 4.0

WRAPPER_PROGRAM = """
import os, sys, time
from caw import Agent
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what it displays
session = Agent(provider="codex").start_session()
for line in sys.stdin:
    started = time.perf_counter()
    turn = session.send(line.strip())
    print((time.perf_counter() - started) * 1e3, file=answers, flush=True)
    assert line.strip() in turn.result, turn
"""


class ByHand:
    """One thread of one ``codex app-server``; waits for each answer before the next line."""

    def __init__(self, program: Path, home: ProgramHome) -> None:
        self._process = subprocess.Popen(
            [program, "app-server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home.cwd,
            env=home.env,
        )
        self._id = 0
        client = {"name": "bench", "title": "bench", "version": "1"}
        self._call("initialize", clientInfo=client)
        self._write({"method": "initialized"})
        started = self._call("thread/start", cwd=str(home.cwd), approvalPolicy="never")
        self._thread = started["thread"]["id"]

    def send(self, prompt: str) -> str:
        """Have one turn; return its text."""
        text = {"type": "text", "text": prompt}
        self._call("turn/start", threadId=self._thread, input=[text])
        answer = ""
        while True:
            message = self._read()
            item = message.get("params", {}).get("item", {})
            if message.get("method") == "item/completed" and item["type"] == "agentMessage":
                answer = item["text"]
            elif message.get("method") == "turn/completed":
                return answer

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def _call(self, method: str, **params: Any) -> Any:
        self._id += 1
        self._write({"id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._id:
                return message["result"]

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return dict(json.loads(self._process.stdout.readline()))


def with_caw(program: Path, home: ProgramHome) -> Session:
    """Open a session of caw's with a program of its own."""
    env: dict[str, str | None] = {**dict.fromkeys(os.environ), **home.env}
    agent = Agent("codex", cwd=home.cwd, env=env, options={"binary": str(program)})
    return agent.start_session()


def timed(send: Callable[[str], str], number: int) -> float:
    """Return the milliseconds of one turn."""
    started = time.perf_counter()
    answer = send(f"number {number}")
    taken = (time.perf_counter() - started) * 1e3
    if f"number {number}" not in answer:
        message = f"the answer to 'number {number}' was {answer!r}"
        raise AssertionError(message)
    return taken


class ExistingWrapper:
    """One session of the existing wrapper, in its own environment."""

    def __init__(self, command: Path, home: ProgramHome) -> None:
        commands = home.path / "bin"
        commands.mkdir()
        (commands / "codex").symlink_to(command)
        node = Path(shutil.which("node") or "node").resolve().parent
        path = os.pathsep.join([str(commands), str(node), home.env["PATH"]])
        self._process = subprocess.Popen(
            [wrapper_python(), "-c", WRAPPER_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home.cwd,
            env={**home.env, "PATH": path},
            text=True,
        )

    def turn(self, number: int) -> float:
        """Return the milliseconds of one turn, as measured in its own process."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        print(f"number {number}", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, turns=30)
    program = installed_program("codex").path
    wrapper_python()
    by_hand: list[float] = []
    through_caw: list[float] = []
    wrapper: list[float] = []
    wrapper_native: list[float] = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ModelServer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server.respond(echo)
        homes = [codex_home(folder / part, server) for part in ("hand", "caw", "old", "native")]
        hand = stack.enter_context(contextlib.closing(ByHand(program, homes[0])))
        session = stack.enter_context(with_caw(program, homes[1]))
        script = next(up / ".bin/codex" for up in program.parents if up.name == "node_modules")
        old = stack.enter_context(contextlib.closing(ExistingWrapper(script, homes[2])))
        native = stack.enter_context(contextlib.closing(ExistingWrapper(program, homes[3])))
        for number in range(given.turns + 1):
            by_hand.append(timed(hand.send, number))
            through_caw.append(timed(lambda text: session.send(text).result, number))
            wrapper.append(old.turn(number))
            wrapper_native.append(native.turn(number))
    rows = [
        Row(name="by hand", samples=tuple(by_hand[1:])),
        Row(name="caw", samples=tuple(through_caw[1:])),
        Row(name="existing wrapper", samples=tuple(wrapper[1:])),
        Row(name="existing wrapper, native program", samples=tuple(wrapper_native[1:])),
    ]
    added = statistics.median(
        ours - bare for ours, bare in zip(through_caw[1:], by_hand[1:], strict=True)
    )
    times = rows[2].median / rows[1].median
    targets = [
        Target(name="added by caw", value=added, holds=added <= MOST_ADDED_MS, unit="ms"),
        Target(name="times faster", value=times, holds=times >= TIMES_FASTER),
        Target(name="times faster, native program", value=rows[3].median / rows[1].median),
    ]
    report("turn latency", rows, targets, as_json=given.json)


if __name__ == "__main__":
    main()
