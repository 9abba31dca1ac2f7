"""caw's half of the rows about programs: how a turn ends, whatever the program does."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _faults_half import (
    Outcome,
    Task,
    alive,
    at_once,
    host_dies,
    peak_mebibytes,
    run_half,
    turns_under_way,
    wait_for,
)

from caw_core import Agent, Deadlines
from caw_core.errors import ProviderError, TurnInterruptedError

if TYPE_CHECKING:
    from caw_core import Session

PROTOCOLS = {"claude": "live", "codex": "spawn"}


def agent(task: Task, name: str = "claude", **settings: Any) -> Agent:
    """Return an agent that is a stand-in."""
    options = {"binary": task[name], "protocol": PROTOCOLS[name]}
    return Agent(name, cwd=task["folder"], options=options, **settings)


def turn(task: Task) -> Outcome:
    """Have a turn."""
    started = time.monotonic()
    with agent(task, task.get("agent", "claude")).start_session() as session:
        done = session.send(task["prompt"])
    good = done.status == "completed" and task["word"] in done.result
    good = good and peak_mebibytes() <= task.get("mebibytes", math.inf)
    seconds = time.monotonic() - started
    said = f"the turn is {done.status} in {seconds:.1f} s, {peak_mebibytes():.0f} MiB at most"
    return Outcome(good, said, {"seconds": seconds, "MiB": peak_mebibytes()})


def malformed(task: Task) -> Outcome:
    """Have a turn for each malformed line."""
    counts = {}
    for name in PROTOCOLS:
        with agent(task, name).start_session() as session:
            counts[name] = sum(survives(session, line, task) for line in task["lines"])
    said = ", ".join(f"{count} of {len(task['lines'])} ({name})" for name, count in counts.items())
    good = set(counts.values()) == {len(task["lines"])}
    return Outcome(good, f"survived: {said}", dict(counts))


def survives(session: Session, prompt: str, task: Task) -> bool:
    """Say whether a turn completes with its text."""
    with contextlib.suppress(ProviderError):
        done = session.send(prompt)
        return done.status == "completed" and task["word"] in done.text
    return False


def crash(task: Task) -> Outcome:
    """Let the program die in the midst of a turn."""
    with agent(task).start_session() as session:
        try:
            session.send("die")
        except ProviderError as error:
            status = error.turn.status if error.turn else "nowhere"
            kept = error.turn is not None and "half" in error.turn.text
        else:
            return Outcome(good=False, said="the turn is a success")
        following = session.send("go").status
    good = (status, kept, following) == ("unknown", True, "completed")
    what = "with what was seen" if kept else "empty"
    return Outcome(good, f"the turn is {status}, {what}; the next one is {following}")


def argv(task: Task) -> Outcome:
    """Look for the prompts in the command line."""
    with agent(task, "codex", system_prompt="be-silent").start_session() as session:
        session.send("a-secret")
    runs = [file.read_text() for file in Path(task["codex"]).parent.glob("run-*")]
    seen = [word for word in ("a-secret", "be-silent") if any(word in run for run in runs)]
    return Outcome(not seen, f"{len(seen)} of 2 prompts are in the command line")


def limits(task: Task) -> Outcome:
    """Get answers that talk about limits."""
    started = time.monotonic()
    with agent(task).start_session() as session:
        waited = [text for text in task["texts"] if session.send(text).result != text]
        seconds = time.monotonic() - started
    said = f"{len(task['texts']) - len(waited)} answers in {seconds:.1f} s"
    return Outcome(not waited, said)


def end(task: Task) -> Outcome:
    """End the session while a turn runs."""
    session = agent(task).start_session()
    errors: list[BaseException] = []

    def send() -> None:
        try:
            session.send("stall")
        except TurnInterruptedError as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: turns_under_way(task), 30)
    status = session.end().turns[-1].status
    thread.join(5)
    left = alive(turns_under_way(task))
    good = status == "interrupted" and len(errors) == 1 and not left
    who = "hears of it" if errors else "hears nothing"
    return Outcome(good, f"the turn is {status}, who waits {who}, {len(left)} programs left")


def hold(task: Task) -> Outcome:
    """Hold a turn until this process is killed."""
    agent(task).start_session().send("stall")
    return Outcome(good=False, said="the turn ended")


def host(task: Task) -> Outcome:
    """End a process that holds a turn."""
    return host_dies(__file__, task)


def concurrent(task: Task) -> Outcome:
    """Have as many turns at once as there are programs."""

    async def main() -> Outcome:
        opened = [agent(task).start_session_async() for _ in range(task["sessions"])]
        sessions = await asyncio.gather(*opened)
        outcome = await at_once(sessions, task["most"])
        await asyncio.gather(*(session.end_async() for session in sessions))
        return outcome

    return asyncio.run(main())


def interrupt(task: Task) -> Outcome:
    """Interrupt a real agent whose command ignores SIGTERM and holds its stdout."""
    pids, ready = Path(task["folder"], "pids"), Path(task["folder"], "ready")
    options = {"binary": task["program"]}
    settings: dict[str, Any] = {"permissions": "full", "options": options}
    with Agent(task["agent"], deadlines=Deadlines(start=60), **settings).start_session() as session:
        thread = threading.Thread(target=session.send, args=("go",))
        thread.start()
        if not wait_for(ready.exists, 60):
            return Outcome(good=False, said="the command never ran")
        tree = [int(line) for line in pids.read_text().split()]
        started = time.monotonic()
        session.interrupt()
        thread.join(30)
        ended = time.monotonic() - started
        gone = wait_for(lambda: not alive(tree), 10)
        seconds = time.monotonic() - started
        status = session.trajectory.turns[-1].status
        following = session.send("again").status
    good = (status, following) == ("interrupted", "completed") and gone and seconds <= task["most"]
    what = f"the tree of {len(tree)} gone after {seconds:.2f} s" if gone else "the tree is alive"
    said = f"{status} after {ended:.2f} s, {what}, the next turn is {following}"
    return Outcome(good, said, {"ended": ended, "gone": seconds})


HALVES = (turn, malformed, crash, argv, limits, end, hold, host, concurrent, interrupt)

if __name__ == "__main__":
    run_half({half.__name__: half for half in HALVES})
