"""Saying something into a running turn of the real opencode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.events import TextDelta, ToolOutput
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, reply, slow, text

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

WAIT = {"command": "echo hi; while ! test -e on; do sleep 0.05; done", "description": "wait"}


def test_message_during_a_tool_reaches_the_next_model_call(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("bash", WAIT)), reply(text("heard")))
    with desk.agent().start_session() as session:
        outcomes: list[str] = []
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, ToolOutput) and not outcomes:
                outcomes.append(session.steer("be quick").outcome)
                (desk.home.cwd / "on").touch()
        assert outcomes == ["delivered"]
        assert model_server.requests[-1].user_texts()[-2:] == ["go", "be quick"]
        assert [block.type for block in stream.result().output] == ["tool_use", "steer", "text"]
        assert stream.result().usage.total_tokens == model_server.usage.total_tokens


def test_message_while_the_answer_streams_is_answered_in_the_same_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(slow(reply(text("one " * 20)), seconds=8), reply(text("two")))
    with desk.agent().start_session() as session:
        outcomes: list[str] = []
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, TextDelta) and not outcomes:
                outcomes.append(session.steer("and then").outcome)
        assert outcomes == ["delivered"]
        assert stream.result().result == "two"
        assert stream.result().text.startswith("one ")
        model_server.script(reply(text("three")))
        assert session.send("next").result == "three"
    assert model_server.requests[-1].user_texts()[-3:] == ["go", "and then", "next"]


def test_message_is_refused_when_no_turn_runs(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    session = desk.start()
    assert session.steer(Prompt(text="early")) is False
    desk.turn(session)
    assert session.steer(Prompt(text="late")) is False


def test_several_messages_are_all_answered_before_the_turn_ends(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("bash", WAIT)), *[reply(text("ok"))] * 4)
    with desk.agent().start_session() as session:
        outcomes: list[str] = []
        for event in session.stream("go"):
            if isinstance(event, ToolOutput) and not outcomes:
                outcomes = [session.steer(f"more {number}").outcome for number in (1, 2, 3)]
                (desk.home.cwd / "on").touch()
        assert outcomes == ["delivered"] * 3
        model_server.clear()
        model_server.script(reply(text("ok")))
        session.send("next")
    texts = model_server.requests[-1].user_texts()
    assert texts == ["go", "more 1", "more 2", "more 3", "next"]
