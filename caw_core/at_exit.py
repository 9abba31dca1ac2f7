"""What is done when the interpreter exits, in the right order whoever was imported first."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable

log = logging.getLogger("caw")

SESSIONS = 0
"""First the sessions are ended, which still need their programs."""

PROGRAMS = 1
"""Then the programs are, whatever was left of them."""

DISPLAYS = 2
"""Last, what moves on the terminal is taken away."""

_steps: dict[int, list[Callable[[], object]]] = {SESSIONS: [], PROGRAMS: [], DISPLAYS: []}


def at_exit(step: int, call: Callable[[], object]) -> None:
    """Have something done at the exit.

    Args:
        step: `SESSIONS`, `PROGRAMS` or `DISPLAYS`.
        call: what; it is never forgotten, so register once what looks after many.
    """
    _steps[step].append(call)


def _run() -> None:
    for step in sorted(_steps):
        for call in _steps[step]:
            try:
                call()
            except Exception:
                log.exception("something went wrong at the exit")


atexit.register(_run)
