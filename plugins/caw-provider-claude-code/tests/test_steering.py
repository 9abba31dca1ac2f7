"""What is said into a running turn, seen from the model's end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.events import TextDelta, ToolStarted, TurnEnded
from caw_core.provider import Prompt
from caw_testkit.modelserver import big, call, echo, reply, slow, text

from .conftest import ask, fold, pid_in

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

WAIT = {"command": "echo $$ > pid; while ! test -e go; do sleep 0.05; done"}


def running(session: Any, prompt: str) -> tuple[threading.Thread, list[Any]]:
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(ask(session, prompt)))
    thread.start()
    return thread, turns


def test_message_reaches_the_model_with_the_tools_result(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("Bash", WAIT)), reply(text("done")))
    session = desk.start()
    thread, turns = running(session, "go")
    pid_in(desk.home.cwd / "pid")
    assert session.steer(Prompt(text="/look @here"))
    (desk.home.cwd / "go").touch()
    thread.join(20)
    assert fold(turns[0]).result == "done"
    assert len(model_server.requests) == 2
    assert any("\n/look @here\n" in said for said in model_server.requests[-1].texts())
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"


def test_message_is_not_taken_while_no_tool_runs(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(big(200)), seconds=0.5))
    session = desk.start()
    assert not session.steer(Prompt(text="early"))
    answers = [
        session.steer(Prompt(text="late"))
        for event in session.prompt(Prompt(text="go"))
        if isinstance(event, TextDelta)
    ]
    assert answers
    assert not any(answers)
    assert not session.steer(Prompt(text="later"))
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"
    assert not any("late" in said for said in model_server.requests[-1].user_texts())


def test_message_that_missed_the_last_model_call_is_answered_in_the_same_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(slow(reply(text("first answer")), before=0.5))
    session = desk.start()
    stream = session.prompt(Prompt(text="go"))
    said: list[bool] = []

    def too_late() -> None:
        turn = session._turn
        assert turn
        model_server.wait_for_requests(1)
        # As if a tool had ended between the look at it and the writing of the line.
        turn._steering._calls.add("gone")
        said.append(session.steer(Prompt(text="late")))

    thread = threading.Thread(target=too_late)
    model_server.script(reply(text("second answer")))
    events = [next(stream)]
    thread.start()
    events += stream
    thread.join(20)
    assert said == [True]
    assert fold(events).text == "first answer\n\nsecond answer"
    assert sum(isinstance(event, TurnEnded) for event in events) == 1
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"


def test_interrupt_takes_back_what_was_not_taken_up(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("Bash", WAIT)))
    session = desk.start()
    thread, turns = running(session, "go")
    pid_in(desk.home.cwd / "pid")
    assert session.steer(Prompt(text="never mind"))
    session.interrupt()
    thread.join(20)
    assert turns[0][-1] == TurnEnded(stop_reason="cancelled")
    assert any(isinstance(event, ToolStarted) for event in turns[0])
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"
    assert not any("never mind" in said for said in model_server.requests[-1].texts())
