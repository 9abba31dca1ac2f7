"""Subagents, really called by each agent: with its own program, and with other providers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core import (
    NATIVE,
    Agent,
    AgentSpec,
    Budget,
    Deadlines,
    Decision,
    PermissionRequest,
    Prompt,
    ProviderInfo,
    StartRequest,
    allow,
    hookimpl,
)
from caw_core.errors import BudgetError
from caw_core.events import Event, TextDone
from caw_testkit.homes import claude_home, codex_home
from caw_testkit.modelserver import ModelServer, Usage, hang, reply, text

from .agents import ClaudeCode
from .conftest import WAIT, wait_until

if TYPE_CHECKING:
    from caw_testkit.modelserver import RecordedRequest, Step
    from caw_testkit.programs import Program

    from .conftest import Trial

CHILD = "You are the one who looks things up."
LOOKER = AgentSpec(name="looker", description="Looks things up.", system_prompt=CHILD)


def is_child(request: RecordedRequest) -> bool:
    """Tell whether a request is the subagent's."""
    return any(CHILD in said for said in request.system())


def is_parent(request: RecordedRequest) -> bool:
    """Tell whether a request is its parent's."""
    return not is_child(request)


def script(trial: Trial, *child: Step, prompts: tuple[str, ...] = ("look",)) -> None:
    """Have the parent's model call the subagent, and say that it is done."""
    calls = [trial.kind.use("subagents", "looker", {"prompt": prompt}) for prompt in prompts]
    trial.server.script(reply(*calls), reply(text("done")), when=is_parent)
    if child:
        trial.server.script(*child, when=is_child)


@pytest.mark.feature("subagents")
def test_subagent_runs_in_the_agents_own_program_and_counts_once(
    trial: Trial, tmp_path: Path
) -> None:
    script(trial, reply(text("it is 42"), usage=Usage(input_tokens=1000)))
    agent = trial.agent(subagents=[LOOKER], data_dir=tmp_path / "records")
    with agent.start_session() as session:
        turn = session.send("go")
    (call,) = turn.tool_calls
    child = call.subagent_trajectory
    assert child is not None
    assert call.name == "subagents.looker"
    assert call.output == child.result == "it is 42"
    assert (child.provider, child.cwd) == (trial.kind.name, str(trial.cwd))
    assert child.usage.input_tokens == 1000
    assert turn.total_usage.input_tokens == turn.usage.input_tokens + 1000
    assert turn.total_usage.total_tokens == trial.server.usage.total_tokens
    record = agent.load_trajectory(session.session_id)
    assert record is not None
    assert record.total_usage == turn.total_usage
    assert record.subagent_trajectories == [child]
    # No marker and no record reaches the model: it sees the answer alone.
    (result,) = trial.server.requests[-1].tool_results()
    assert "it is 42" in result.text
    assert child.session_id not in result.text


class Meeting:
    """A provider of agents that answer as soon as two of them are at work."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say that nothing matters to them."""
        names = ("cwd", "env", "permissions", "system_prompt", "tools")
        return ProviderInfo(name="meeting", options=dict.fromkeys(names, NATIVE), auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> Meeting:
        """Meet here."""
        del request
        return self

    resume_key = None

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Wait for the other one."""
        self._barrier.wait(WAIT)
        yield TextDone(text=f"met about {prompt.text}")

    def interrupt(self) -> None:
        """Wait no longer."""
        self._barrier.abort()

    def close(self) -> None:
        """Do nothing: there is nothing."""


@pytest.mark.feature("subagents")
def test_several_run_at_once_on_another_provider(trial: Trial) -> None:
    script(trial, prompts=("tea", "rain"))
    looker = AgentSpec(name="looker", provider="meeting")
    with (
        trial.registry.register_provider("meeting", Meeting()),
        trial.session(subagents=[looker]) as session,
    ):
        turn = session.send("go")
    said = [
        call.subagent_trajectory and call.subagent_trajectory.result for call in turn.tool_calls
    ]
    assert said == ["met about tea", "met about rain"]
    assert [call.output for call in turn.tool_calls] == said


@pytest.mark.feature("subagents")
def test_interrupt_ends_the_subagents_program_too(trial: Trial) -> None:
    call = trial.kind.use("subagents", "looker", {"prompt": "look"})
    trial.server.script(reply(call), when=is_parent)
    trial.server.script(hang(), when=is_child)
    with trial.session(subagents=[LOOKER]) as session:
        before = set(trial.processes())
        with session.stream("go") as stream:
            wait_until(lambda: any(map(is_child, trial.server.requests)))
            session.interrupt()
            for _ in stream:
                """It comes to its end."""
            turn = stream.result()
        assert turn.status == "interrupted"
        (child,) = session.trajectory.subagent_trajectories
        assert child.turns[0].status == "interrupted"
        assert child.completed_at
        assert set(trial.processes()) <= before


@pytest.mark.feature("subagents")
def test_subagent_asks_its_parents_callback_and_says_who_asks(trial: Trial) -> None:
    file = trial.cwd / "written"
    script(trial, reply(trial.kind.run(f"touch {file}")), reply(text("wrote it")))
    asked: list[PermissionRequest] = []

    def answer(request: PermissionRequest) -> Decision:
        asked.append(request)
        return allow()

    eager = AgentSpec(name="looker", system_prompt=CHILD, permissions="full")
    with trial.session(subagents=[eager], permissions="ask", on_permission=answer) as session:
        turn = session.send("go")
    (call,) = turn.tool_calls
    assert call.subagent_trajectory is not None
    assert call.subagent_trajectory.permissions == "ask"
    assert [request.asked_by for request in asked if request.kind == "exec"] == ["looker"]
    assert file.exists()


@pytest.mark.feature("subagents")
def test_what_a_subagent_uses_ends_its_parent_at_the_budget(trial: Trial) -> None:
    calls = [trial.kind.use("subagents", "looker", {"prompt": "look"})]
    trial.server.script(reply(*calls), when=is_parent)
    trial.server.script(reply(text("dear"), usage=Usage(input_tokens=90_000)), when=is_child)
    trial.server.respond(lambda _: reply(text("done")), when=is_parent)
    with (
        trial.session(subagents=[LOOKER], budget=Budget(tokens=80_000)) as session,
        pytest.raises(BudgetError) as raised,
    ):
        session.send("go")
    assert raised.value.turn is not None
    assert raised.value.turn.total_usage.total_tokens >= 90_000


@pytest.mark.real_claude
@pytest.mark.real_codex
def test_one_agents_program_has_anothers_do_the_work(
    claude_program: Program, codex_program: Program, model_server: ModelServer, tmp_path: Path
) -> None:
    claude = claude_home(tmp_path / "claude", model_server)
    codex = codex_home(tmp_path / "codex", model_server)
    worker = AgentSpec(
        name="worker",
        provider="codex",
        system_prompt=CHILD,
        env=codex.env,
        options={"binary": str(codex_program.path)},
    )
    call = ClaudeCode().use("subagents", "worker", {"prompt": "look"})
    model_server.script(reply(call), reply(text("done")), when=is_parent)
    model_server.script(reply(text("it is 42")), when=is_child)
    agent = Agent(
        "claude_code",
        cwd=claude.cwd,
        env={**dict.fromkeys(os.environ), **claude.env},
        options={"binary": str(claude_program.path)},
        permissions="full",
        deadlines=Deadlines(start=WAIT, stop=5),
        subagents=[worker],
    )
    with agent.start_session() as session:
        turn = session.send("go")
    (call_of_it,) = turn.tool_calls
    assert call_of_it.output == "it is 42"
    assert call_of_it.subagent_trajectory is not None
    assert call_of_it.subagent_trajectory.provider == "codex"
