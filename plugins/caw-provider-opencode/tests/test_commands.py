"""Commands of an interrupted turn, with real processes in the place of opencode's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from caw_provider_opencode.commands import RunningCommands, end_groups
from caw_provider_opencode.sse import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[[str], subprocess.Popen[str]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start commands as opencode does, this process being the server."""
    shells: list[subprocess.Popen[str]] = []

    def run(command: str) -> subprocess.Popen[str]:
        argv = ["/bin/sh", "-c", command]
        shell = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        shells.append(shell)
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        return shell

    yield run
    for shell in shells:
        end_groups([shell.pid], since=0)
        with shell:
            pass


def told(status: str, command: str = STUBBORN, part: str = "p") -> Message:
    state = {"status": status, "input": {"command": command}}
    properties = {"part": {"id": part, "type": "tool", "tool": "bash", "state": state}}
    return Message(
        raw=b"", type="message.part.updated", properties=json.loads(json.dumps(properties))
    )


def test_command_that_ignores_sigterm_is_found_and_killed(start: Start) -> None:
    shell = start(STUBBORN)
    commands = RunningCommands()
    commands.receive(told("running"))
    groups = commands.groups(os.getpid())
    assert groups == [shell.pid]
    shell.terminate()
    end_groups(groups, since=time.monotonic())
    assert shell.wait(30) == -9


def test_command_that_has_ended_is_not_looked_for(start: Start) -> None:
    start(STUBBORN)
    commands = RunningCommands()
    commands.receive(told("running"))
    commands.receive(told("completed"))
    assert commands.groups(os.getpid()) == []


def test_command_that_another_session_runs_too_is_left_alone(start: Start) -> None:
    both = {start(STUBBORN).pid, start(STUBBORN).pid}
    commands = RunningCommands()
    commands.receive(told("running"))
    assert commands.groups(os.getpid()) == []
    commands.receive(told("running", part="q"))
    assert set(commands.groups(os.getpid())) == both
