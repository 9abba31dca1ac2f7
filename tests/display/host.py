"""A program whose sessions do what its arguments say, one session per argument, all at once.

An argument holds steps, with ``;`` between: ``say TEXT``, ``tool NAME``, ``done NAME``, ``used N``,
``wait FILE``, which waits until somebody opens that named pipe to write, ``alone FILE``, which does
so with the terminal to itself, and ``next``, which begins the next turn.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from caw_core import (
    Agent,
    PluginRegistry,
    Prompt,
    ProviderInfo,
    StartRequest,
    UsageStats,
    display_paused,
    hookimpl,
)
from caw_core.events import (
    Event,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UsageReported,
)


class Steps:
    def __init__(self) -> None:
        self.resume_key = None
        self._interrupted = threading.Event()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        for step in prompt.text.split(";"):
            word, _, rest = step.strip().partition(" ")
            match word:
                case "say":
                    yield TextDelta(text=rest.replace("\\n", "\n").replace("\\e", "\x1b"))
                case "tool":
                    yield ToolStarted(call_id=rest, name=rest, arguments={"command": f"run {rest}"})
                case "done":
                    yield ToolFinished(call_id=rest, output="the output")
                case "used":
                    usage = UsageStats(input_tokens=int(rest), cost_usd=0.5, cost_source="reported")
                    yield UsageReported(usage=usage)
                case "wait":
                    self._wait(rest)
                case "alone":
                    with display_paused():
                        sys.stderr.write("a line of one's own\n")
                        self._wait(rest)
            if self._interrupted.is_set():
                yield TurnEnded(stop_reason="cancelled")
                return

    def _wait(self, pipe: str) -> None:
        opened = threading.Event()

        def wait() -> None:
            with open(pipe):  # noqa: PTH123 - a name and no path of this system
                opened.set()
                wake.set()

        wake = self._wake = threading.Event()
        threading.Thread(target=wait, daemon=True).start()
        wake.wait()

    def interrupt(self) -> None:
        self._interrupted.set()
        self._wake.set()

    def close(self) -> None:
        pass


class StepsProvider:
    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="steps", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> Steps:
        return Steps()

    @hookimpl
    def resume_session(self, request: StartRequest) -> Steps:
        return Steps()


def converse(agent: Agent, number: int, turns: str) -> None:
    with agent.start_session(session_id=f"session-{number}") as session:
        for turn in turns.split(";next;"):
            session.send(turn)


def main() -> None:
    mode, *sessions = sys.argv[1:]
    # The test's terminal sets a better one.
    os.environ["TERM"] = os.environ.get("HOST_TERM", os.environ["TERM"])
    registry = PluginRegistry(autoload=False)
    registry.register_provider("steps", StepsProvider())
    agent = Agent("steps", registry=registry, display=mode)
    threads = [
        threading.Thread(target=converse, args=(agent, number, turns))
        for number, turns in enumerate(sessions[1:], 1)
    ]
    for thread in threads:
        thread.start()
    converse(agent, 0, sessions[0])
    for thread in threads:
        thread.join()
    sys.stdout.write("the program goes on\n")


if __name__ == "__main__":
    main()
