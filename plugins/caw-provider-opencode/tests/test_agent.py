"""The real opencode through `Agent`, found by its entry point."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core import Agent
from caw_core.errors import AuthError
from caw_testkit.modelserver import call, echo, fail, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def test_session_runs_resumes_and_leaves_nothing_behind(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    agent = Agent(
        "opencode",
        cwd=tmp_path,
        model="testkit/m1",
        env={**dict.fromkeys(os.environ), **desk.home.env},
        options={"binary": str(desk.program)},
        system_prompt="You are terse.",
        permissions="full",
    )
    before = set(psutil.Process().children(recursive=True))
    command = {"command": "printf hi", "description": "print"}
    model_server.script(reply(call("bash", command)), reply(text("done")))
    with agent.start_session() as session:
        turn = session.send("go")
        assert [(use.name, use.output) for use in turn.tool_calls] == [("bash", "hi")]
        assert (turn.status, turn.result, turn.usage.total_tokens) == ("completed", "done", 30)
        model_server.script(fail(401))
        with pytest.raises(AuthError) as caught:
            session.send("refused")
        assert caught.value.turn is not None
        handle = session.resume_handle
    model_server.respond(echo)
    with agent.resume_session(handle) as session:
        assert session.send("two").result == "echo: two"
    assert "go" in model_server.requests[-1].user_texts()
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "opencode" in process.name()]
