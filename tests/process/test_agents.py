"""The real agents, in the middle of a command, end with the program that runs them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from caw_core.process.hosts import end_leftovers
from caw_testkit.modelserver import ModelServer, call, reply

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and groups of POSIX")

WAIT = 60.0
PROMISED = 5.0

# provider, fixtures' prefix, and the call of its shell tool with a command.
AGENTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "claude": (
        "claude_code",
        lambda command: call("Bash", {"command": command, "description": "a command"}),
    ),
    "codex": (
        "codex",
        lambda command: call("exec_command", {"cmd": command, "yield_time_ms": 60_000}),
    ),
    "opencode": (
        "opencode",
        lambda command: call("bash", {"command": command, "description": "a command"}),
    ),
}
each_agent = pytest.mark.parametrize(
    "agent", [pytest.param(name, marks=getattr(pytest.mark, f"real_{name}")) for name in AGENTS]
)

HOST = """
import asyncio, json, sys
from pathlib import Path
from caw_core import Agent
settings = json.loads(sys.argv[1])
settings["cwd"] = Path(settings["cwd"])
provider = settings.pop("provider")
{then}
"""
IN_THE_MAIN_THREAD = "Agent(provider, **settings).start_session().send('go')"
IN_ASYNCIO = """
async def main():
    session = await Agent(provider, **settings).start_session_async()
    await session.send_async("go")
asyncio.run(main())
"""

# Tells its number and ignores what can be ignored; what it starts leaves its group.
COMMAND = """
import os, signal, socket, subprocess, sys, time
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, start_new_session=True)
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as line:
    line.sendall(f"{os.getpid()} {child.pid}".encode())
time.sleep(600)
"""

Run = Callable[[str], tuple["subprocess.Popen[bytes]", list[int]]]


@pytest.fixture
def run(
    request: pytest.FixtureRequest, agent: str, model_server: ModelServer, tmp_path: Path
) -> Iterator[Run]:
    """Start a host whose agent runs a command; return it and the pids of all below it."""
    home = request.getfixturevalue(f"{agent}_home")
    program = request.getfixturevalue(f"{agent}_program")
    provider, shell = AGENTS[agent]
    (tmp_path / "command.py").write_text(COMMAND)
    settings = {
        "provider": provider,
        "cwd": str(home.cwd),
        "env": {**dict.fromkeys(os.environ), **home.env},
        "options": {"binary": str(program.path)},
        "permissions": "full",
    }
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(WAIT)
        port = listener.getsockname()[1]

        def start(then: str) -> tuple[subprocess.Popen[bytes], list[int]]:
            model_server.script(
                reply(shell(f"{sys.executable} {tmp_path / 'command.py'} {port} & wait"))
            )
            command = [sys.executable, "-c", HOST.replace("{then}", then), json.dumps(settings)]
            host = stack.enter_context(subprocess.Popen(command))
            stack.callback(host.kill)
            line, _ = listener.accept()
            with line, line.makefile() as words:
                told = [int(word) for word in words.read().split()]
            below = psutil.Process(host.pid).children(recursive=True)
            pids = {*told, *(process.pid for process in below)}
            for pid in pids:
                stack.callback(kill, pid)
            return host, sorted(pids)

        yield start


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@each_agent
@pytest.mark.parametrize(
    ("name", "then"),
    [("SIGKILL", IN_THE_MAIN_THREAD), ("SIGTERM", IN_ASYNCIO)],
    ids=["killed", "terminated in asyncio"],
)
def test_agent_and_its_commands_end_with_their_host(
    run: Run, gone: Any, name: str, then: str
) -> None:
    host, pids = run(then)
    host.send_signal(signal.Signals[name])
    host.wait(WAIT)
    assert len(pids) >= 4  # the agent, its shell's two, and the reaper
    assert all(gone(pid, PROMISED) for pid in pids)


@each_agent
def test_agent_whose_host_was_killed_with_its_reaper_is_found_and_ended(
    run: Run, gone: Any
) -> None:
    host, pids = run(IN_THE_MAIN_THREAD)
    [reaper] = [
        child
        for child in psutil.Process(host.pid).children()
        if any(word.endswith("reaper.py") for word in child.cmdline())
    ]
    reaper.suspend()
    host.kill()
    host.wait()
    reaper.kill()
    found = end_leftovers()
    assert {each.host_pid for each in found} == {host.pid}
    assert all(gone(pid) for pid in pids)
    assert end_leftovers() == []
