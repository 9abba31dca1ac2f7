"""What is known of a turn's usage while it runs, and what that is good for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent, Budget
from caw_core.errors import BudgetError
from caw_core.events import ToolFinished, UsageReported
from caw_testkit.modelserver import Usage, call, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

COUNTED = Usage(input_tokens=100, cached_tokens=40, cache_write_tokens=10, output_tokens=20)


def test_tool_loop_is_stopped_when_the_budget_of_tokens_is_used_up(
    claude_program: Program, claude_home: ProgramHome, model_server: ModelServer
) -> None:
    model_server.respond(
        lambda _: reply(call("Bash", {"command": "echo x >> calls; sleep 0.2"}), usage=COUNTED)
    )
    agent = Agent(
        "claude_code",
        cwd=claude_home.cwd,
        env={**dict.fromkeys(os.environ), **claude_home.env},
        options={"binary": str(claude_program.path)},
        permissions="full",
        budget=Budget(tokens=300),
    )
    with agent.start_session() as session, pytest.raises(BudgetError):
        session.send("go")
    assert 3 <= len(model_server.requests) <= 4


def test_usage_is_reported_with_each_model_call_and_adds_up(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("Bash", {"command": "true"}), usage=COUNTED))
    model_server.script(reply(text("x"), usage=COUNTED))
    events = ask(desk.start(model="claude-sonnet-4-5"), "go")
    reports = [event for event in events if isinstance(event, UsageReported)]
    assert [report.usage.total_tokens for report in reports] == [120, 120, 0]
    assert events.index(reports[0]) < next(
        place for place, event in enumerate(events) if isinstance(event, ToolFinished)
    )
    whole = fold(events).usage
    assert whole.total_tokens == model_server.usage.total_tokens
    assert [report.usage.cost_usd for report in reports[:-1]] == [None, None]
    assert (whole.cost_usd, whole.cost_source) == (reports[-1].usage.cost_usd, "reported")
    assert (whole.cache_read_tokens, whole.cache_write_tokens) == (80, 20)
