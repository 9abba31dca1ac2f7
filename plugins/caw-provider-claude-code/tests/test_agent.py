"""The real claude through caw's own front door."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent
from caw_core.errors import LimitError
from caw_core.tools import ModelTier
from caw_testkit.modelserver import call, echo, fail, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.permissions import PermissionRequest
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_claude


@pytest.fixture
def settings(claude_program: Program, claude_home: ProgramHome) -> dict[str, Any]:
    return {
        "cwd": claude_home.cwd,
        "env": {**dict.fromkeys(os.environ), **claude_home.env},
        "options": {"binary": str(claude_program.path)},
        "permissions": "full",
    }


@pytest.mark.parametrize("name", ["claude_code", "claude", "cc"])
def test_agent_answers_under_each_name(
    settings: dict[str, Any], model_server: ModelServer, name: str
) -> None:
    model_server.respond(echo)
    with Agent(name, **settings).start_session() as session:
        turn = session.send("hello")
    assert (turn.result, turn.status, turn.stop_reason) == ("echo: hello", "completed", "end_turn")
    assert session.trajectory.provider == "claude_code"


def test_session_goes_on_from_its_handle(
    settings: dict[str, Any], model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    agent = Agent("claude_code", system_prompt="CAW-SYSTEM", data_dir=tmp_path / "d", **settings)
    with agent.start_session() as session:
        session.send("one")
        handle = session.resume_handle
    with agent.resume_session(handle) as session:
        session.send("two")
    request = model_server.requests[-1]
    assert request.user_texts()[-2:] == ["one", "two"]
    assert "CAW-SYSTEM" in " ".join(request.system())
    assert [turn.input for turn in session.trajectory.turns] == ["one", "two"]


def test_failed_turn_is_kept_and_the_session_goes_on(
    settings: dict[str, Any], model_server: ModelServer
) -> None:
    model_server.script(reply(call("Bash", {"command": "echo hi"})), fail(429, "slow down"))
    model_server.script(reply(text("fine")))
    with Agent("claude_code", **settings).start_session() as session:
        with pytest.raises(LimitError) as caught:
            session.send("one")
        assert session.send("two").result == "fine"
    assert caught.value.turn
    assert caught.value.turn.tool_calls[0].output == "hi"
    assert [turn.status for turn in session.trajectory.turns] == ["failed", "completed"]


def test_sessions_run_side_by_side(settings: dict[str, Any], model_server: ModelServer) -> None:
    model_server.respond(echo)
    agent = Agent("claude_code", **settings)
    with agent.start_session() as one, agent.start_session() as two:
        assert one.send("a").result == "echo: a"
        assert two.send("b").result == "echo: b"
        assert one.send("c").result == "echo: c"


def test_callback_steer_fork_and_model_work_through_the_session(
    settings: dict[str, Any], model_server: ModelServer
) -> None:
    asked: list[str] = []
    receipts: list[str] = []

    def decide(request: PermissionRequest) -> bool:
        asked.append(request.tool)
        receipts.append(session.steer("and then rest").outcome)
        return True

    model_server.script(reply(call("Bash", {"command": "touch made"})), reply(text("done")))
    agent = Agent("claude_code", **{**settings, "permissions": "ask"}, on_permission=decide)
    with agent.start_session() as session:
        turn = session.send("go")
        assert [block.type for block in turn.output] == ["tool_use", "steer", "text"]
        assert (asked, receipts) == (["Bash"], ["delivered"])
        assert (settings["cwd"] / "made").exists()
        assert "and then rest" in " ".join(model_server.requests[-1].texts())
        session.set_model(ModelTier.FAST)
        model_server.respond(echo)
        with session.fork() as branch:
            assert branch.send("other").result == "echo: other"
            assert "haiku" in model_server.requests[-1].model
        assert session.send("more").result == "echo: more"
    said = model_server.requests[-1].user_texts()
    assert ("go" in said, "other" in said, said[-1]) == (True, False, "more")
    assert branch.trajectory.forked_from == session.session_id
