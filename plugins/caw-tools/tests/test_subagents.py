"""Subagents: called over the protocol by an agent that does nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from caw_core import (
    Agent,
    AgentSpec,
    Budget,
    Decision,
    PermissionRequest,
    PluginRegistry,
    Session,
    ToolUse,
    Trajectory,
    Turn,
    deny,
)
from caw_core.errors import (
    BudgetError,
    ConfigError,
    TurnInterruptedError,
    UnknownProviderError,
)
from caw_core.events import SubagentEvent, TextDone, TurnStarted
from caw_core.storage import as_left

from .delegator import PRICE, DelegatorProvider, tasks

ECHO = AgentSpec(name="echo", description="repeats", provider="echo")


@pytest.fixture
def registry() -> Iterator[PluginRegistry]:
    """Return the installed plugins and the agent that calls subagents."""
    registry = PluginRegistry()
    with registry.register_provider("delegator", DelegatorProvider()):
        yield registry


def below(*subagents: AgentSpec, name: str = "boss", **options: Any) -> AgentSpec:
    """Return an agent that calls others."""
    return AgentSpec(name=name, provider="delegator", subagents=subagents, **options)


def turn_of(registry: PluginRegistry, prompt: str, *subagents: AgentSpec, **options: Any) -> Turn:
    """Return the one turn of a session that calls subagents."""
    agent = Agent("delegator", registry=registry, subagents=subagents, **options)
    with agent.start_session() as session:
        return session.send(prompt)


def test_record_of_a_subagent_stands_at_its_call_and_is_stored(
    registry: PluginRegistry, tmp_path: Path
) -> None:
    agent = Agent("delegator", registry=registry, subagents=[ECHO], data_dir=tmp_path)
    with agent.start_session() as session:
        turn = session.send(tasks(echo="hello"))
    (call,) = turn.tool_calls
    child = call.subagent_trajectory
    assert child is not None
    assert call.output == child.result == "echo: hello"
    assert (child.provider, child.turns[0].status, child.is_complete) == ("echo", "completed", True)
    assert child.metadata == {"subagent": "echo", "parent_session_id": session.session_id}
    stored = agent.load_trajectory(session.session_id)
    assert stored == session.trajectory
    assert stored.subagent_trajectories == [child]


def test_subagent_of_a_turn_that_was_never_finished_is_not_left_running() -> None:
    ran = Turn(index=0, input="look", status="running")
    record = Trajectory(session_id="s", provider="echo", turns=(ran,))
    call = ToolUse(id="1", name="subagents.looker", subagent_trajectory=record)
    left = as_left(Turn(index=0, input="go", output=(call,), status="running"))
    [child] = [use.subagent_trajectory for use in left.tool_calls]
    assert child is not None
    assert child.turns[0].status == "unknown"


def test_what_happens_in_a_subagent_is_told_on_the_stream(registry: PluginRegistry) -> None:
    agent = Agent("delegator", registry=registry, subagents=[ECHO])
    with agent.start_session() as session:
        told = list(session.stream(tasks(echo="hello")))
        (child,) = session.trajectory.subagent_trajectories
    inner = [event for event in told if isinstance(event, SubagentEvent)]
    assert {(event.name, event.session_id) for event in inner} == {("echo", child.session_id)}
    assert inner[0].event == TurnStarted(index=0)
    assert "echo: hello" in [e.event.text for e in inner if isinstance(e.event, TextDone)]
    assert inner[-1].event.type == "turn_ended"


def test_each_of_several_equal_calls_has_a_record_of_its_own(registry: PluginRegistry) -> None:
    second = AgentSpec(name="second", provider="echo")
    prompt = tasks(echo="same", second="same")
    calls = turn_of(registry, prompt, ECHO, second).tool_calls
    children = [call.subagent_trajectory for call in calls]
    assert [child and child.metadata["subagent"] for child in children] == ["echo", "second"]


def test_what_subagents_use_counts_once_in_the_total(
    registry: PluginRegistry, tmp_path: Path
) -> None:
    leaf = below(ECHO, name="leaf")
    middle = below(leaf, name="middle")
    agent = Agent("delegator", registry=registry, subagents=[middle], data_dir=tmp_path)
    with agent.start_session() as session:
        # The echo costs nothing that is known, so nothing of it is called here.
        turn = session.send(tasks(middle=tasks(leaf="[]")))
    assert (turn.usage.cost_usd, turn.total_usage.cost_usd) == (PRICE, 3 * PRICE)
    assert turn.total_usage.input_tokens == 3
    for record in (session.trajectory, agent.load_trajectory(session.session_id)):
        assert record is not None
        assert (record.usage.cost_usd, record.total_usage.cost_usd) == (PRICE, 3 * PRICE)
        assert record.to_dict()["total_usage"]["cost_usd"] == 3 * PRICE


def test_subagent_that_fails_is_an_error_for_the_model_and_its_record_is_kept(
    registry: PluginRegistry,
) -> None:
    (call,) = turn_of(registry, tasks(echo="first\n!fail auth"), ECHO).tool_calls
    assert call.is_error
    assert "the subagent 'echo' did not finish: AuthError" in call.output
    assert "echo: first" in call.output
    assert call.subagent_trajectory is not None
    assert call.subagent_trajectory.turns[0].status == "failed"


def test_subagent_that_cannot_start_is_an_error_for_the_model(
    registry: PluginRegistry, tmp_path: Path
) -> None:
    lost = AgentSpec(name="lost", provider="echo", cwd=tmp_path / "nowhere")
    (call,) = turn_of(registry, tasks(lost="hello"), lost).tool_calls
    assert call.is_error
    assert "is not a folder" in call.output
    assert call.subagent_trajectory is None


def test_subagent_may_never_do_more_than_its_parent(registry: PluginRegistry) -> None:
    eager = AgentSpec(name="eager", provider="echo", permissions="full")
    middle = below(eager, name="middle", permissions="full")
    asked: list[PermissionRequest] = []

    def answer(request: PermissionRequest) -> Decision:
        asked.append(request)
        return deny("not today")

    prompt = tasks(middle=tasks(eager="!ask shell => done"))
    options = {"permissions": "ask", "on_permission": answer}
    turn = turn_of(registry, prompt, middle, **options)
    (child,) = [call.subagent_trajectory for call in turn.tool_calls]
    assert child is not None
    (leaf,) = child.subagent_trajectories
    assert (child.permissions, leaf.permissions) == ("ask", "ask")
    assert [(each.tool, each.asked_by) for each in asked] == [("shell", "middle/eager")]
    assert leaf.turns[0].tool_calls[0].status == "declined"


def test_narrower_permissions_of_a_subagent_hold(registry: PluginRegistry) -> None:
    reader = AgentSpec(name="reader", provider="echo", permissions="read-only")
    turn = turn_of(registry, tasks(reader="hi"), reader, permissions="full")
    (call,) = turn.tool_calls
    assert call.subagent_trajectory is not None
    assert call.subagent_trajectory.permissions == "read-only"


@pytest.mark.parametrize(
    ("depth", "spec_depth"), [(1, None), (2, 0)], ids=["of the agent", "of the subagent"]
)
def test_at_the_last_level_no_subagent_is_offered(
    registry: PluginRegistry, depth: int, spec_depth: int | None
) -> None:
    middle = below(ECHO, name="middle", max_depth=spec_depth)
    prompt = tasks(middle=tasks(echo="too deep"))
    (call,) = turn_of(registry, prompt, middle, max_subagent_depth=depth).tool_calls
    assert call.is_error
    assert call.subagent_trajectory is not None
    assert call.subagent_trajectory.subagent_trajectories == []


def test_subagent_counts_against_the_budget_while_it_runs(registry: PluginRegistry) -> None:
    prompt = tasks(echo="word " * 50 + "\n!calls 2\n!slow 600")
    with pytest.raises(BudgetError) as raised:
        turn_of(registry, prompt, ECHO, budget=Budget(tokens=40))
    turn = raised.value.turn
    assert turn is not None
    assert turn.total_usage.total_tokens > 40 > turn.usage.total_tokens


def test_subagent_has_a_budget_of_its_own(registry: PluginRegistry) -> None:
    thrifty = AgentSpec(name="thrifty", provider="echo", budget=Budget(tokens=10))
    (call,) = turn_of(registry, tasks(thrifty="word " * 50 + "\n!calls 2"), thrifty).tool_calls
    assert call.is_error
    assert "BudgetError" in call.output


@pytest.mark.parametrize("stop", [Session.interrupt, Session.end])
def test_interrupt_and_end_reach_subagents_at_every_level(
    registry: PluginRegistry, stop: Callable[[Session], object]
) -> None:
    agent = Agent("delegator", registry=registry, subagents=[below(ECHO)])
    with agent.start_session() as session:
        stream = session.stream(tasks(boss=tasks(echo="soon\n!slow 600")))
        with stream, contextlib.suppress(TurnInterruptedError):
            for event in stream:
                inner = event.event if isinstance(event, SubagentEvent) else event
                if isinstance(inner, SubagentEvent):
                    stop(session)
        (child,) = session.trajectory.subagent_trajectories
        (leaf,) = child.subagent_trajectories
    for each in (session.trajectory, child, leaf):
        assert each.turns[0].status == "interrupted"
        assert each.completed_at


def test_secret_of_a_subagent_is_not_in_its_parents_record(
    registry: PluginRegistry, tmp_path: Path
) -> None:
    secret = "tell-nobody-of-this"
    insider = AgentSpec(
        name="insider", provider="echo", env={"TOKEN": secret}, system_prompt=f"It is {secret}."
    )
    agent = Agent("delegator", registry=registry, subagents=[insider], data_dir=tmp_path)
    with agent.start_session() as session:
        turn = session.send(tasks(insider="!system"))
    assert secret in turn.tool_calls[0].output
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if secret.encode() in file.read_bytes()]


def test_subagent_on_the_parents_provider_has_its_folder_and_environment(
    registry: PluginRegistry, tmp_path: Path
) -> None:
    same = AgentSpec(name="same")
    turn = turn_of(registry, tasks(same="[]"), same, cwd=tmp_path, env={"A": "b"})
    (call,) = turn.tool_calls
    assert call.subagent_trajectory is not None
    assert call.subagent_trajectory.provider == "delegator"
    assert call.subagent_trajectory.cwd == str(tmp_path)


def test_wrong_subagents_are_refused_before_anything_starts(registry: PluginRegistry) -> None:
    with pytest.raises(ConfigError, match="is that of a tool"):
        AgentSpec(name="two words")
    with pytest.raises(ConfigError, match="two of them have one name"):
        Agent("delegator", registry=registry, subagents=[ECHO, ECHO])
    nobody = AgentSpec(name="nobody", provider="nobody")
    with pytest.raises(UnknownProviderError):
        Agent("delegator", registry=registry, subagents=[below(nobody)])
    wrong: Any = "everything"
    wild = AgentSpec(name="wild", permissions=wrong)
    with pytest.raises(ConfigError, match="permissions"):
        Agent("delegator", registry=registry, subagents=[wild])
