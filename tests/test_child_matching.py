"""Which tool call ran which subagent, where the agent's program does not say."""

from __future__ import annotations

from typing import Any

import attrs

from caw_core import ToolUse, Trajectory, Turn
from caw_core.child_matching import ChildAnswer, with_trajectories
from caw_core.trajectory import TurnStatus

DONE = ChildAnswer(text="done")


@attrs.frozen(kw_only=True)
class Ran:
    """A subagent that ran."""

    trajectory: Trajectory
    answer: ChildAnswer | None = DONE
    name: str = "looker"
    call_id: str = ""
    arguments: dict[str, Any] = attrs.field(factory=lambda: {"prompt": "look"})


def record(name: str) -> Trajectory:
    """Return a record to tell from others."""
    return Trajectory(session_id=name, provider="echo")


def use(call_id: str, output: str = "", **changes: Any) -> ToolUse:
    """Return a call of the subagent."""
    name, arguments = "subagents.looker", {"prompt": "look"}
    return ToolUse(
        **{"id": call_id, "name": name, "arguments": arguments, "output": output, **changes}
    )


def places(
    output: list[ToolUse], *children: Ran, status: TurnStatus = "completed"
) -> dict[str, str]:
    """Return by the ids of the calls whose record stands there."""
    turn = Turn(index=0, input="go", output=tuple(output), status=status)
    calls = with_trajectories(turn, children).tool_calls
    return {
        call.id: call.subagent_trajectory.session_id if call.subagent_trajectory else ""
        for call in calls
    }


def test_results_tell_equal_calls_apart_and_order_does_where_they_are_equal_too() -> None:
    calls = [use("1", "second"), use("2", "first"), use("3", "same"), use("4", "same")]
    ran = [Ran(trajectory=record(a), answer=ChildAnswer(text=a)) for a in ("first", "second")]
    ran += [Ran(trajectory=record(a), answer=ChildAnswer(text="same")) for a in ("third", "fourth")]
    assert places(calls, *ran) == {"1": "second", "2": "first", "3": "third", "4": "fourth"}


def test_id_of_the_call_decides_before_anything_else() -> None:
    vague, certain = Ran(trajectory=record("vague")), Ran(trajectory=record("it"), call_id="1")
    assert places([use("1", "done"), use("2")], vague, certain) == {"1": "it", "2": "vague"}


def test_other_tools_and_other_arguments_are_not_taken() -> None:
    calls = [use("1", name="tools.looker_2"), use("2", arguments={"prompt": "else"})]
    assert places(calls, Ran(trajectory=record("it"), call_id="x")) == {"1": "", "2": "", "x": "it"}


def test_call_that_is_never_told_gets_its_place_when_the_turn_has_ended() -> None:
    child = Ran(trajectory=record("it"))
    assert places([], child, status="running") == {}
    assert places([], child, status="failed") == {"subagent-it": "it"}
