"""The real codex, which reports no cost, with the plugin found by its entry point."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import genai_prices
import pytest

from caw_core import Agent, Budget
from caw_core.errors import BudgetError
from caw_core.events import UsageReported
from caw_testkit.modelserver import Usage, call, reply, text

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_codex

USED = Usage(input_tokens=10_000, cached_tokens=4_000, output_tokens=2_000, reasoning_tokens=500)


def by_hand(used: Usage) -> float:
    """Return what gpt-5-codex costs: 1.25 in, 0.125 from the cache, 10 out, for a million."""
    fresh = used.input_tokens - used.cached_tokens
    return (fresh * 1.25 + used.cached_tokens * 0.125 + used.output_tokens * 10) / 1e6


def codex(program: Program, home: ProgramHome, **options: Any) -> Agent:
    return Agent(
        "codex",
        cwd=home.cwd,
        env={**dict.fromkeys(os.environ), **home.env},
        options={"binary": str(program.path)},
        **{"model": "gpt-5-codex", **options},
    )


def test_cost_of_a_turn_is_that_of_what_the_server_charged(
    codex_program: Program, codex_home: ProgramHome, model_server: ModelServer
) -> None:
    model_server.script(reply(call("exec_command", {"cmd": "true"}), usage=USED))
    model_server.script(reply(text("done"), usage=USED))
    with codex(codex_program, codex_home).start_session() as session:
        events = list(session.stream("go"))
        usage = session.trajectory.turns[0].usage
    assert usage.cost_usd == pytest.approx(by_hand(model_server.usage), rel=1e-9)
    assert usage.cost_source == "computed"
    assert usage.price_table == f"genai-prices {genai_prices.__version__}"
    told = [event.usage.cost_usd for event in events if isinstance(event, UsageReported)]
    assert told == [pytest.approx(by_hand(USED))] * 2


def test_budget_in_money_ends_a_session_of_an_agent_that_reports_no_cost(
    codex_program: Program, codex_home: ProgramHome, model_server: ModelServer
) -> None:
    model_server.script(*[reply(text("done"), usage=USED)] * 2)
    budget = Budget(usd=by_hand(USED) * 1.5)
    with codex(codex_program, codex_home, budget=budget).start_session() as session:
        assert session.send("one").status == "completed"
        # The call that passes the bound may be the turn's last, which then has come to its end.
        with contextlib.suppress(BudgetError):
            session.send("two")
        with pytest.raises(BudgetError, match="USD are used"):
            session.send("three")
    assert len(model_server.requests) == 2


def test_budget_in_money_ends_a_turn_between_its_model_calls(
    codex_program: Program, codex_home: ProgramHome, model_server: ModelServer
) -> None:
    # The table is read with the first price of a process, which takes a while.
    model_server.script(reply(text("done"), usage=USED))
    codex(codex_program, codex_home).completion("go")
    model_server.script(reply(call("exec_command", {"cmd": "sleep 60"}), usage=USED))
    # codex tells what a call used when its tools are done, so the next call may be on its way.
    model_server.respond(lambda _: reply(text("and more"), usage=USED))
    budget = Budget(usd=by_hand(USED))
    with (
        codex(codex_program, codex_home, budget=budget).start_session() as session,
        pytest.raises(BudgetError, match="USD are used") as caught,
    ):
        session.send("one")
    assert caught.value.turn is not None
    assert caught.value.turn.status == "interrupted"
    assert (caught.value.turn.usage.cost_usd or 0) >= by_hand(USED) * 0.999
    assert len(model_server.requests) <= 3


def test_model_that_is_not_in_the_table_costs_nobody_knows_what(
    codex_program: Program, codex_home: ProgramHome, model_server: ModelServer
) -> None:
    model_server.script(reply(text("done"), usage=USED))
    agent = codex(codex_program, codex_home, model="house-model")
    usage = agent.completion("go").turns[0].usage
    assert (usage.cost_usd, usage.cost_source, usage.price_table) == (None, "unknown", "")
