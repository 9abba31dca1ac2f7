"""Kill writers of sessions at random moments and count what is lost, whoever writes them.

Each writer is a fork, so that a thousand of them are not a thousand imports; nothing may have been
started in this process before. One writer has one session; it says which turns it has back, and is
killed up to `MOST_MS` after the first. Then another fork continues the session.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from _faults_half import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_MS = 40
SEED = 20_261_121


class Acknowledged(NamedTuple):
    """What a writer said before it was killed: the handle of its session, and how many turns."""

    handle: str
    turns: int


def count_losses(
    kills: int,
    write: Callable[[Callable[[str], None]], None],
    resume: Callable[[str], list[str]],
) -> Outcome:
    """Kill so many writers.

    Args:
        kills: how many.
        write: opens a session and has turns without end, whose prompts are ``turn 0``, ``turn 1``
            and so on; after each it calls its argument with the session's handle.
        resume: continues the session of a handle with one more turn, and returns the prompts of
            those before it that are complete.
    """
    chosen = random.Random(SEED)  # noqa: S311 - the moments are to be the same for both
    lost = unresumable = written = 0
    why: dict[str, int] = {}
    for _ in range(kills):
        said = _killed(write, chosen.uniform(0, MOST_MS) / 1e3)
        written += said.turns
        answer = _in_fork(resume, said.handle)
        if isinstance(answer, str):
            unresumable += 1
            why[answer] = why.get(answer, 0) + 1
        else:
            lost += sum(f"turn {index}" not in answer for index in range(said.turns))
    reason = f" ({max(why, key=lambda name: why[name])})" if why else ""
    text = (
        f"{lost} of {written} turns lost, {unresumable} of {kills} sessions not resumable{reason}"
    )
    figures = {"turns": written, "lost": lost, "not resumable": unresumable, "kills": kills}
    return Outcome(not (lost or unresumable), text, figures)


def _killed(write: Callable[[Callable[[str], None]], None], after: float) -> Acknowledged:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            write(lambda handle: _write_line(writer, handle))
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as lines:
        first = lines.readline()
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        rest = [line for line in lines if line.endswith("\n")]
    os.waitpid(pid, 0)
    return Acknowledged(first.rstrip("\n"), 1 + len(rest))


def _write_line(writer: int, text: str) -> None:
    os.write(writer, text.encode() + b"\n")


def _in_fork(resume: Callable[[str], list[str]], handle: str) -> list[str] | str:
    """Return what *resume* returns in a fork, or the name of the error that it raises."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(writer, resume, handle)
    os.close(writer)
    with os.fdopen(reader) as lines:
        answer: list[str] | str = json.loads(lines.read())
    os.waitpid(pid, 0)
    return answer


def _answer(writer: int, resume: Callable[[str], list[str]], handle: str) -> NoReturn:
    try:
        answer: list[str] | str = resume(handle)
    except BaseException as error:  # noqa: BLE001 - it is what is counted
        answer = type(error).__name__
    with os.fdopen(writer, "w") as answers:
        json.dump(answer, answers)
    os._exit(0)
