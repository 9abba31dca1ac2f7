"""The existing wrapper's half of the rows about programs; see `_faults_caw`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import threading
import time
from pathlib import Path
from typing import Any

from _faults_half import (
    Outcome,
    Task,
    alive,
    at_once,
    children,
    host_dies,
    peak_mebibytes,
    run_half,
    turns_under_way,
    wait_for,
)

wrapper: Any = importlib.import_module("caw")


def session(name: str = "claude", **settings: Any) -> Any:
    """Open a session; the program is the first one of that name on PATH."""
    return wrapper.Agent(provider=name, **settings).start_session()


def turn(task: Task) -> Outcome:
    """Have a turn."""
    started = time.monotonic()
    done = session(task.get("agent", "claude")).send(task["prompt"])
    seconds = time.monotonic() - started
    said = f"the turn ended in {seconds:.1f} s, {peak_mebibytes():.0f} MiB at most"
    good = task["word"] in done.result
    return Outcome(good, said, {"seconds": seconds, "MiB": peak_mebibytes()})


def malformed(task: Task) -> Outcome:
    """Have a turn for each malformed line."""
    counts = {}
    for name in ("claude", "codex"):
        opened = session(name)
        counts[name] = sum(survives(opened, line, task) for line in task["lines"])
    said = ", ".join(f"{count} of {len(task['lines'])} ({name})" for name, count in counts.items())
    good = set(counts.values()) == {len(task["lines"])}
    return Outcome(good, f"survived: {said}", dict(counts))


def survives(opened: Any, prompt: str, task: Task) -> bool:
    """Say whether a turn completes with its text."""
    with contextlib.suppress(Exception):
        done = opened.send(prompt)
        return any(task["word"] in getattr(block, "text", "") for block in done.output)
    return False


def crash(task: Task) -> Outcome:
    """Let the program die in the midst of a turn."""
    del task
    opened = session()
    try:
        done = opened.send("die")
    except RuntimeError as error:
        return Outcome(good=True, said=str(error))
    complete = opened.end().is_complete
    return Outcome(good=False, said=f"success {done.result!r}, is_complete={complete}")


def argv(task: Task) -> Outcome:
    """Look for the prompts in the command line."""
    session("codex", system_prompt="be-silent").send("a-secret")
    runs = [file.read_text() for file in Path(task["codex"]).parent.glob("run-*")]
    seen = [word for word in ("a-secret", "be-silent") if any(word in run for run in runs)]
    return Outcome(not seen, f"{len(seen)} of 2 prompts are in the command line")


def limits(task: Task) -> Outcome:
    """Get answers that talk about limits."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("caw").addHandler(handler)
    waited = []
    for text in task["texts"]:
        thread = threading.Thread(target=session().send, args=(text,), daemon=True)
        thread.start()
        thread.join(3)
        if thread.is_alive():
            waited.append(text)
    why = told[0] if told else "no word about it"
    said = f"{len(waited)} of {len(task['texts'])} answers sleep: {why}"
    return Outcome(not waited, said if waited else "all answered")


def end(task: Task) -> Outcome:
    """End the session while a turn runs."""
    opened = session()
    threading.Thread(target=opened.send, args=("stall",), daemon=True).start()
    wait_for(lambda: turns_under_way(task), 30)
    record = opened.end()
    left = alive(turns_under_way(task))
    said = f"is_complete={record.is_complete}, {len(record.turns)} turns, {len(left)} programs left"
    return Outcome(not (record.is_complete or left), said)


def hold(task: Task) -> Outcome:
    """Hold a turn until this process is killed."""
    del task
    session().send("stall")
    return Outcome(good=False, said="the turn ended")


def host(task: Task) -> Outcome:
    """End a process that holds a turn."""
    return host_dies(__file__, task)


def concurrent(task: Task) -> Outcome:
    """Have as many turns at once as there are programs."""

    async def main() -> Outcome:
        return await at_once([session() for _ in range(task["sessions"])], task["most"])

    return asyncio.run(main())


def interrupt(task: Task) -> Outcome:
    """Cancel the task that awaits the turn: there is no other way."""
    pids, ready = Path(task["folder"], "pids"), Path(task["folder"], "ready")

    async def main() -> list[int]:
        sending = asyncio.create_task(session(task["agent"]).send_async("go"))
        await asyncio.to_thread(wait_for, ready.exists, 60)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        return await asyncio.to_thread(left_of, pids)

    # asyncio.run() would wait for the thread that reads the program.
    left = asyncio.new_event_loop().run_until_complete(main())
    agent = "runs" if children() else "is gone"
    said = f"5 s later the agent {agent}, {len(left)} of its commands run"
    return Outcome(not (left or children()), said)


def left_of(pids: Path) -> list[int]:
    """Return which of the processes run 5 s later."""
    tree = [int(line) for line in pids.read_text().split()]
    wait_for(lambda: not alive(tree), 5)
    return alive(tree)


HALVES = (turn, malformed, crash, argv, limits, end, hold, host, concurrent, interrupt)

if __name__ == "__main__":
    run_half({half.__name__: half for half in HALVES})
