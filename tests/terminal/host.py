"""Run by the tests in a terminal: hands it to a program that stands for an agent's interface.

``python host.py JSON``: ``argv`` and ``stdin`` of that program, the keywords of
`caw_core.Agent.interactive` as ``call``, ``"ends": true`` to cancel it from asyncio when SIGUSR1
comes. Writes ``host.pid`` and ``result.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from caw_core import NATIVE, Agent, ProviderInfo, Readiness, hookimpl, register_provider
from caw_core.interactive import InteractiveRequest, InteractiveResult
from caw_core.process import child_environment
from caw_core.terminal.handover import hand_over


class Shown:
    """An agent whose interface is any program."""

    caw_api = "1.0"

    def __init__(self, name: str, *, there: bool = True) -> None:
        self._name = name
        self._there = there

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(
            name=self._name,
            description=f"the agent {self._name}",
            capabilities=frozenset({"interactive", "resume"}),
            options={"cwd": NATIVE, "env": NATIVE},
            extra_options={"argv": "the program", "stdin": "its stdin"},
            install_hint=f"get {self._name} somewhere",
        )

    @hookimpl
    def check_ready(self) -> Readiness:
        hint = "" if self._there else f"get {self._name} somewhere"
        return Readiness(ready=self._there, hint=hint, program_path="x" * self._there)

    @hookimpl
    def start_session(self) -> None:
        raise NotImplementedError

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        argv = request.options.get("argv", ["/bin/echo", f"this is {self._name}"])
        done = hand_over(
            request, argv, env=child_environment(request.env), stdin=request.options.get("stdin")
        )
        return InteractiveResult(exit_code=done.exit_code, output=done.output, resume_key="key")


async def cancelled(agent: Agent, call: dict[str, Any]) -> InteractiveResult:
    """Have a signal cancel it."""
    task = asyncio.ensure_future(agent.interactive_async("", **call))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, task.cancel)
    return await task


def main() -> None:
    """Do what the argument says."""
    told = json.loads(sys.argv[1])
    for name, there in told.get("providers", {"shown": True}).items():
        register_provider(name, Shown(name, there=there))
    Path("host.pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
    options = {name: told[name] for name in ("argv", "stdin") if name in told}
    agent = Agent(next(iter(told.get("providers", ["shown"]))), options=options)
    call = told.get("call", {})
    outcome: dict[str, Any]
    try:
        if told.get("ends"):
            result = asyncio.run(cancelled(agent, call))
        else:
            result = agent.interactive("", **call)
    except BaseException as error:  # noqa: BLE001 - the test looks at it
        outcome = {"error": type(error).__name__, "message": str(error)}
    else:
        outcome = {
            name: getattr(result, name)
            for name in ("exit_code", "output", "provider", "session_id", "resume_handle")
        }
    Path("result.json").write_text(json.dumps(outcome), encoding="utf-8")
    print("IT IS OVER")  # noqa: T201 - what the tests wait for


if __name__ == "__main__":
    main()
