"""Saying something into a running turn of the real codex."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import SteerBlock
from caw_core.events import ToolStarted
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, echo, reply, slow, text

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

SLEEP = reply(call("exec_command", {"cmd": "sleep 0.5"}))


def test_steered_text_reaches_the_next_model_call(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(SLEEP, reply(text("done")))
    session = desk.start()
    taken = [
        session.steer(Prompt(text="  and /quickly @now  "))
        for event in session.prompt(Prompt(text="go"))
        if isinstance(event, ToolStarted)
    ]
    assert taken == [True]
    assert model_server.requests[-1].user_texts()[-2:] == ["go", "  and /quickly @now  "]


def test_steering_when_nothing_runs_is_refused(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    assert not session.steer(Prompt(text="too early"))
    assert desk.fold(desk.ask(session, "go")).result == "echo: go"
    assert not session.steer(Prompt(text="too late"))
    assert desk.fold(desk.ask(session, "on")).result == "echo: on"
    assert model_server.requests[-1].user_texts()[-2:] == ["go", "on"]


def test_steering_stands_in_the_record_where_it_came(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(SLEEP, slow(reply(text("done")), before=0.1))
    with desk.agent().start_session() as session:
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, ToolStarted):
                receipt = session.steer("faster")
        turn = stream.result()
    assert receipt.outcome == "delivered"
    assert [block.type for block in turn.output] == ["tool_use", "steer", "text"]
    assert [block.text for block in turn.output if isinstance(block, SteerBlock)] == ["faster"]
