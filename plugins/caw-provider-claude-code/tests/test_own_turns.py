"""Turns that the real claude begins by itself."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent, Prompt
from caw_core.permissions import PermissionRequest, allow
from caw_testkit.modelserver import big, call, echo, reply, slow, text

from .conftest import ask, fold, is_alive, pid_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core import Session, Turn
    from caw_core.agent_turns import AgentTurn
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer, RecordedRequest
    from caw_testkit.programs import Program

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

WAIT = 30.0


class Opened:
    """A session of an agent, and the turns that claude began in it."""

    def __init__(self, agent: Agent) -> None:
        self.session: Session = agent.start_session()
        self._own: list[Turn] = []
        self._changed = threading.Condition()
        self.session.on_agent_turn(self._add)

    def _add(self, turn: Turn) -> None:
        with self._changed:
            self._own.append(turn)
            self._changed.notify_all()

    def own(self, number: int = 1) -> list[Turn]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._own) >= number, WAIT)
            return self._own

    def record(self) -> list[tuple[str, str]]:
        return [(turn.origin, turn.result) for turn in self.session.trajectory.turns]


@pytest.fixture
def settings(claude_program: Program, claude_home: ProgramHome, tmp_path: Path) -> dict[str, Any]:
    return {
        "cwd": claude_home.cwd,
        "env": {**dict.fromkeys(os.environ), **claude_home.env},
        "options": {"binary": str(claude_program.path)},
        "permissions": "full",
        "data_dir": tmp_path / "data",
    }


@pytest.fixture
def opened(settings: dict[str, Any]) -> Iterator[Opened]:
    opened = Opened(Agent("claude_code", **settings))
    yield opened
    opened.session.end()


def background(file: str) -> Any:
    """Make a command in the background that ends when there is such a file."""
    command = f"while ! test -e {file}; do sleep 0.02; done"
    return call("Bash", {"command": command, "run_in_background": True})


def about_a_task(request: RecordedRequest) -> bool:
    return "<task-notification>" in request.texts()[-1]


def test_turn_that_a_task_set_off_is_recorded_and_the_next_answer_is_its_own(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")), reply(text("it ended")))
    session = opened.session
    assert session.send("one").result == "started"
    (settings["cwd"] / "go").touch()
    [own] = opened.own()
    assert (own.origin, own.status, own.stop_reason) == ("agent", "completed", "end_turn")
    assert own.input.startswith("Background command")
    assert (own.result, own.usage.total_tokens) == ("it ended", 15)
    assert own.usage.cost_usd
    model_server.script(reply(text("mine")))
    assert session.send("two").text == "mine"
    assert opened.record() == [("user", "started"), ("agent", "it ended"), ("user", "mine")]
    assert session.trajectory.usage.total_tokens == model_server.usage.total_tokens
    key = session.resume_handle
    stored = session.end()
    with Agent("claude_code", **settings).resume_session(key) as resumed:
        assert resumed.trajectory.turns == stored.turns


def test_message_that_comes_during_such_a_turn_waits_for_it(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(slow(reply(text("w o r k i n g")), seconds=1))
    opened.session.send("one")
    (settings["cwd"] / "go").touch()
    model_server.wait_for_requests(3)
    model_server.script(reply(text("mine")))
    assert opened.session.send("two").text == "mine"
    assert opened.record()[1:] == [("agent", "w o r k i n g"), ("user", "mine")]
    assert opened.session.trajectory.usage.total_tokens == model_server.usage.total_tokens


def test_turns_of_two_tasks_go_before_a_message_that_waits(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(background("go")))
    model_server.script(slow(reply(text("w a i t")), seconds=1), reply(text("mine")))
    model_server.script(reply(text("first own")), reply(text("second own")), when=about_a_task)
    session = opened.session
    first = session.stream("one")
    second = session.stream("two")
    model_server.wait_for_requests(3)
    (settings["cwd"] / "go").touch()
    assert (first.result().result, second.result().text) == ("w a i t", "mine")
    assert opened.record() == [
        ("user", "w a i t"),
        ("agent", "first own"),
        ("agent", "second own"),
        ("user", "mine"),
    ]
    assert session.trajectory.usage.total_tokens == model_server.usage.total_tokens


def test_prompt_that_reaches_claude_during_its_own_turn_gets_its_own_answer(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(slow(reply(text("w o r k i n g")), seconds=1))
    session = desk.start()
    begun: list[AgentTurn] = []
    session._request.agent_turns.attach(begun.append)
    ask(session, "one")
    (desk.home.cwd / "go").touch()
    model_server.wait_for_requests(3)
    model_server.script(reply(text("mine")))
    assert fold(ask(session, "two")).text == "mine"
    [own] = begun
    assert fold(list(own.events)).text == "w o r k i n g"
    assert own.after is not None
    assert own.after.text == "one"


def test_such_a_turn_can_be_interrupted_and_the_session_goes_on(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")))
    sleeping = {"command": "echo $$ > pid; sleep 1000"}
    model_server.script(reply(call("Bash", sleeping)))
    session = opened.session
    session.send("one")
    (settings["cwd"] / "go").touch()
    pid = pid_in(settings["cwd"] / "pid")
    session.interrupt()
    [own] = opened.own()
    assert (own.status, own.stop_reason) == ("interrupted", "cancelled")
    assert not is_alive(pid)
    model_server.respond(echo)
    assert session.send("two").result == "echo: two"


def test_message_can_be_steered_into_such_a_turn(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    wait = {"command": "echo $$ > pid; while ! test -e on; do sleep 0.05; done"}
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(reply(call("Bash", wait)), reply(text("done")))
    session = opened.session
    session.send("one")
    (settings["cwd"] / "go").touch()
    pid_in(settings["cwd"] / "pid")
    # The command may run before claude has said so.
    while not session.trajectory.turns[-1].output:
        pass
    assert session.steer("be quick").outcome == "delivered"
    (settings["cwd"] / "on").touch()
    [own] = opened.own()
    assert [block.type for block in own.output] == ["tool_use", "steer", "text"]
    assert "be quick" in " ".join(model_server.requests[-1].texts())


def test_end_of_the_session_ends_such_a_turn(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(slow(reply(big(2000)), seconds=60))
    session = opened.session
    session.send("one")
    (settings["cwd"] / "go").touch()
    model_server.wait_for_requests(3)
    while session.trajectory.num_turns < 2:
        pass
    last = session.end().turns[-1]
    assert (last.origin, last.status) == ("agent", "interrupted")


def test_claude_that_dies_in_such_a_turn_leaves_it_unknown(
    opened: Opened, settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(background("go")), reply(text("started")))
    die = {"command": "echo $PPID > pid; sleep 1000"}
    model_server.script(reply(call("Bash", die)))
    session = opened.session
    session.send("one")
    (settings["cwd"] / "go").touch()
    os.kill(pid_in(settings["cwd"] / "pid"), signal.SIGKILL)
    [own] = opened.own()
    assert (own.origin, own.status, own.tool_calls[0].name) == ("agent", "unknown", "Bash")
    model_server.respond(echo)
    assert session.send("two").result == "echo: two"


def test_permission_in_such_a_turn_is_asked_for(
    settings: dict[str, Any], model_server: ModelServer
) -> None:
    asked: list[PermissionRequest] = []

    def decide(request: PermissionRequest) -> Any:
        asked.append(request)
        return allow()

    settings = {**settings, "permissions": "ask"}
    opened = Opened(Agent("claude_code", **settings, on_permission=decide))
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(reply(call("Bash", {"command": "touch made"})), reply(text("done")))
    with opened.session as session:
        session.send("one")
        (settings["cwd"] / "go").touch()
        [own] = opened.own()
    assert (own.status, own.result) == ("completed", "done")
    assert [request.arguments["command"] for request in asked] == ["touch made"]
    assert (settings["cwd"] / "made").exists()


def test_late_discovery_gives_claudes_answer_to_claudes_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    # As if claude had said nothing about the task: its turn is told from ours by the echo alone.
    model_server.script(reply(background("go")), reply(text("started")))
    model_server.script(slow(reply(text("w o r k i n g")), before=1))
    session = desk.start()
    begun: list[AgentTurn] = []
    session._request.agent_turns.attach(begun.append)
    ask(session, "one")
    floor = session._listener._floor
    place = floor.place
    floor.place = lambda message: (  # type: ignore[method-assign]
        "nobody" if message.get("subtype") == "task_notification" else place(message)
    )
    running = session.prompt(Prompt(text="two"))
    (desk.home.cwd / "go").touch()
    model_server.wait_for_requests(3)
    model_server.script(reply(text("mine")))
    assert fold(list(running)).text == "mine"
    assert fold(list(begun[0].events)).text == "w o r k i n g"
