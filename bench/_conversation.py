"""A conversation with an agent in a process of its own, whoever drives the agent there.

So nobody shares an interpreter with the model server or with another driver, and all are measured
by the same lines. The process imports nothing but the standard library and its driver, because the
existing wrapper's environment has nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class Cost(NamedTuple):
    """What one turn cost, in milliseconds: on the clock, and of the CPU in the driver's process."""

    wall: float
    cpu: float


class Conversation:
    """The other end of the process; made when the conversation can begin.

    Args:
        python: the interpreter, which has the driver installed.
        driver: ``by hand``, ``caw`` or ``existing wrapper``.
        agent: the agent's name, the same for all three.
        program: the agent's program. The existing wrapper takes none: it looks on ``PATH``.
        cwd: the folder to work in.
        env: the whole environment; the agent's settings follow from it.
    """

    def __init__(
        self,
        python: str | Path,
        driver: str,
        agent: str,
        program: Path,
        *,
        cwd: Path,
        env: Mapping[str, str],
    ) -> None:
        self._process = subprocess.Popen(
            [python, __file__, driver, agent, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=cwd,
            env=env,
            text=True,
        )
        # One after the other: two opencodes that make themselves at home at once spoil it.
        self._read()

    def turn(self, prompt: str) -> Cost:
        """Have a turn, whose answer must hold *prompt*."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        print(prompt, file=self._process.stdin, flush=True)
        return Cost(*json.loads(self._read()))

    def close(self) -> None:
        """End the conversation, its program and its process."""
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            message = "the driver's process has ended"
            raise RuntimeError(message)
        return line


@contextlib.contextmanager
def _driven(driver: str, agent: str, program: str) -> Iterator[Callable[[str], str]]:
    if driver == "by hand":
        import _by_hand

        with contextlib.closing(_by_hand.CLIENTS[agent](program)) as client:
            yield client.send
    elif driver == "caw":
        from caw_core import Agent

        options = {"binary": program}
        with Agent(agent, permissions="full", options=options).start_session() as session:
            yield lambda prompt: session.send(prompt).result
    else:
        # It complains about codex in each session.
        logging.disable(logging.WARNING)
        wrapper = importlib.import_module("caw")
        wrapped = wrapper.Agent(provider=agent).start_session()
        yield lambda prompt: wrapped.send(prompt).result


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # The existing wrapper displays what it does.
    with _driven(*sys.argv[1:]) as send:
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            prompt = line.strip()
            clock, cpu = time.perf_counter(), time.process_time()
            answer = send(prompt)
            cost = Cost((time.perf_counter() - clock) * 1e3, (time.process_time() - cpu) * 1e3)
            if prompt not in answer:
                message = f"the answer to {prompt!r} was {answer!r}"
                raise AssertionError(message)
            print(json.dumps(cost), file=answers, flush=True)


if __name__ == "__main__":
    _main()
