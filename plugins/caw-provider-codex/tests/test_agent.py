"""The real codex through `Agent`, found by its entry point."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core import Agent
from caw_core.errors import LimitError
from caw_testkit.modelserver import call, echo, fail, reply, text

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_codex


@pytest.fixture
def agent(codex_program: Program, codex_home: ProgramHome) -> Agent:
    return Agent(
        "codex",
        cwd=codex_home.cwd,
        env={**dict.fromkeys(os.environ), **codex_home.env},
        options={"binary": str(codex_program.path)},
        system_prompt="You are terse.",
    )


def test_session_runs_and_resumes_from_its_handle(agent: Agent, model_server: ModelServer) -> None:
    model_server.respond(echo)
    with agent.start_session() as session:
        assert session.send("one").result == "echo: one"
        handle = session.resume_handle
    with agent.resume_session(handle) as session:
        assert session.send("two").result == "echo: two"
    request = model_server.requests[-1]
    assert request.user_texts()[-2:] == ["one", "two"]
    assert sum("You are terse." in said for said in request.system()) == 1


def test_tool_call_becomes_a_block(agent: Agent, model_server: ModelServer) -> None:
    model_server.script(reply(call("exec_command", {"cmd": "printf hi"})), reply(text("done")))
    with agent.start_session() as session:
        turn = session.send("go")
    assert [(use.name, use.output) for use in turn.tool_calls] == [("command_execution", "hi")]
    assert (turn.status, turn.result, turn.usage.total_tokens) == ("completed", "done", 30)


def test_failed_turn_comes_with_its_error(agent: Agent, model_server: ModelServer) -> None:
    model_server.script(fail(429))
    model_server.respond(echo)
    with agent.start_session() as session:
        with pytest.raises(LimitError) as caught:
            session.send("one")
        assert caught.value.turn is not None
        assert caught.value.turn.status == "failed"
        assert session.send("two").result == "echo: two"


def test_no_process_is_left_behind(agent: Agent, model_server: ModelServer) -> None:
    model_server.respond(echo)
    with agent.start_session() as session:
        session.send("one")
        mine = [child for child in psutil.Process().children() if "codex" in child.name()]
        assert len(mine) == 1
    assert not mine[0].is_running()
