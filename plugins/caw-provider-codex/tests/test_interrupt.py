"""Ending turns of the real codex before their time."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.errors import TurnInterruptedError
from caw_core.events import TextDelta, ToolStarted, TurnEnded
from caw_core.provider import Prompt
from caw_testkit.modelserver import big, call, echo, reply, slow, text

if TYPE_CHECKING:
    from caw_core.provider import Permissions
    from caw_provider_codex.session import CodexSession
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex


class Command:
    """A shell command that never ends, found again by a number that no other one has."""

    def __init__(self, yield_time_ms: int = 60_000) -> None:
        number = f"86400.{uuid.uuid4().int % 10**12}"
        self.arguments = {"cmd": f"sleep {number}", "yield_time_ms": yield_time_ms}
        self._number = number

    def processes(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if self._number in (process.info["cmdline"] or [])
        ]

    def wait(self, *, running: bool) -> None:
        end = time.monotonic() + 20
        while bool(self.processes()) is not running:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_interrupt_ends_a_stream(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    model_server.respond(echo)
    session = desk.start()
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, TextDelta):
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    assert desk.fold(events).result.startswith("word-0")
    assert desk.fold(desk.ask(session, "again")).result == "echo: again"


@pytest.mark.parametrize("permissions", ["auto-edit", "full"])
def test_interrupt_ends_the_running_command(
    desk: Desk, model_server: ModelServer, permissions: Permissions
) -> None:
    command = Command()
    model_server.script(reply(call("exec_command", command.arguments)))
    session = desk.start(permissions=permissions)
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, ToolStarted):
            command.wait(running=True)
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    command.wait(running=False)


def test_interrupt_while_nothing_runs_does_nothing(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    session.interrupt()
    assert desk.fold(desk.ask(session, "go")).result == "echo: go"
    session.interrupt()
    assert desk.fold(desk.ask(session, "on")).result == "echo: on"


@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032])
def test_early_interrupt_is_never_lost(desk: Desk, model_server: ModelServer, delay: float) -> None:
    model_server.respond(lambda _: slow(reply(text("late")), before=30))
    session = desk.start()
    turn: list[object] = []
    thread = threading.Thread(target=lambda: turn.extend(session.prompt(Prompt(text="go"))))
    thread.start()
    while session._turn is None:
        time.sleep(0)
    time.sleep(delay)
    session.interrupt()
    thread.join(10)
    assert turn[-1] == TurnEnded(stop_reason="cancelled")


def test_close_ends_a_blocked_prompt_with_an_error(desk: Desk, model_server: ModelServer) -> None:
    command = Command()
    model_server.script(reply(call("exec_command", command.arguments)))
    session = desk.start()
    seen: list[BaseException] = []
    thread = threading.Thread(target=_prompt_until_error, args=(desk, session, seen))
    thread.start()
    command.wait(running=True)
    server = session.pid
    session.close()
    thread.join(10)
    assert [type(error) for error in seen] == [TurnInterruptedError]
    assert not command.processes()
    assert server is not None
    assert not psutil.pid_exists(server)


def test_close_ends_the_commands_of_one_session_of_two(
    desk: Desk, model_server: ModelServer
) -> None:
    command = Command(yield_time_ms=250)
    model_server.script(reply(call("exec_command", command.arguments)), reply(text("started")))
    model_server.respond(echo)
    session, other = desk.start(), desk.start()
    desk.ask(session, "go")
    assert command.processes()
    session.close()
    command.wait(running=False)
    assert desk.fold(desk.ask(other, "still")).result == "echo: still"


def test_leaving_the_iteration_ends_the_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    model_server.respond(echo)
    session = desk.start()
    for event in session.prompt(Prompt(text="go")):
        assert isinstance(event, TextDelta)
        break
    assert desk.fold(desk.ask(session, "again")).result == "echo: again"


def _prompt_until_error(desk: Desk, session: CodexSession, seen: list[BaseException]) -> None:
    try:
        desk.ask(session, "go")
    except TurnInterruptedError as error:
        seen.append(error)


@pytest.mark.parametrize("permissions", ["auto-edit", "full"])
def test_interrupt_ends_what_left_the_commands_group(
    desk: Desk, model_server: ModelServer, permissions: Permissions
) -> None:
    away = Command()
    script = f"setsid {away.arguments['cmd']} & setsid -f {away.arguments['cmd']}; sleep 600"
    model_server.script(reply(call("exec_command", {"cmd": script, "yield_time_ms": 60_000})))
    session = desk.start(permissions=permissions)
    turn: list[object] = []
    for event in session.prompt(Prompt(text="go")):
        turn.append(event)
        if isinstance(event, ToolStarted):
            away.wait(running=True)
            session.interrupt()
    # The turn's own end is the promise: nothing is left to wait for.
    assert away.processes() == []


def test_close_of_one_session_of_two_ends_what_left_its_group(
    desk: Desk, model_server: ModelServer
) -> None:
    away = Command()
    script = f"setsid -f {away.arguments['cmd']}; sleep 600"
    model_server.script(reply(call("exec_command", {"cmd": script, "yield_time_ms": 250})))
    model_server.script(reply(text("started")))
    model_server.respond(echo)
    session, other = desk.start(), desk.start()
    desk.ask(session, "go")
    away.wait(running=True)
    session.close()
    assert away.processes() == []
    assert desk.fold(desk.ask(other, "still")).result == "echo: still"
