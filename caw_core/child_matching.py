"""Which tool call of a turn ran which subagent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from caw_core.blocks import JSON, Block, ToolStatus, ToolUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.trajectory import Trajectory, Turn


@attrs.frozen(kw_only=True)
class ChildAnswer:
    """What the calling model is told.

    Attributes:
        text: the subagent's last words, or what went wrong.
        is_error: whether it is the latter.
    """

    text: str
    is_error: bool = False


class RanInCall(Protocol):
    """A subagent's session, as far as it matters here."""

    @property
    def name(self) -> str:
        """The tool's name."""

    @property
    def call_id(self) -> str:
        """The agent's id of the call; ``""`` where its program does not say."""

    @property
    def arguments(self) -> Mapping[str, JSON]:
        """What the tool was called with."""

    @property
    def answer(self) -> ChildAnswer | None:
        """What the tool returned; None while it runs."""

    @property
    def trajectory(self) -> Trajectory | None:
        """Its record so far; None before there is any."""


def with_trajectories(turn: Turn, children: Sequence[RanInCall]) -> Turn:
    """Return *turn* with the record of each child at the tool call that ran it.

    The agent's id of the call decides where its program sends it along with the call; elsewhere it
    is the first call of that tool that has the same arguments and, among several of these, the same
    result. A child whose call is not told in the whole turn gets a block of its own, so that
    nothing that was spent is lost.

    Args:
        turn: running or ended.
        children: in the order of their calls.
    """
    found = [(child, trajectory) for child in children if (trajectory := child.trajectory)]
    if not found:
        return turn
    output: list[Block] = list(turn.output)
    free = {place: block for place, block in enumerate(output) if isinstance(block, ToolUse)}
    # Those that are certain first, then what has ended: its result tells equal calls apart.
    found.sort(key=lambda item: (not item[0].call_id, item[0].answer is None))
    for child, trajectory in found:
        place = _place(free, child)
        if place is not None:
            output[place] = attrs.evolve(free.pop(place), subagent_trajectory=trajectory)
        elif turn.status != "running":
            output.append(_block_of(child, trajectory))
    return attrs.evolve(turn, output=tuple(output))


def _place(free: Mapping[int, ToolUse], child: RanInCall) -> int | None:
    for place, use in free.items():
        if child.call_id and use.id == child.call_id:
            return place
    alike = [
        place
        for place, use in free.items()
        if _is_called(use.name, child.name) and dict(use.arguments) == dict(child.arguments)
    ]
    said = child.answer.text if child.answer is not None else ""

    def differs(place: int) -> tuple[bool, bool]:
        # Some agents put words of their own around a result.
        return free[place].output != said, said not in free[place].output

    return min(alike, key=differs, default=None)


def _is_called(told: str, name: str) -> bool:
    # MCP tools are told as ``server.tool``.
    return told.rpartition(".")[2] == name


def _block_of(child: RanInCall, trajectory: Trajectory) -> ToolUse:
    answer = child.answer
    status: ToolStatus = "running"
    if answer is not None:
        status = "failed" if answer.is_error else "completed"
    return ToolUse(
        id=child.call_id or f"subagent-{trajectory.session_id}",
        name=child.name,
        arguments=child.arguments,
        output=answer.text if answer is not None else "",
        is_error=status == "failed",
        status=status,
        subagent_trajectory=trajectory,
    )
