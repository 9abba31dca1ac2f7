"""A history that can be sent to a model: every tool call in it has a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caw_core.blocks import Block
    from caw_core.trajectory import Turn

NO_RESULT: Final = "[interrupted: this call never got a result; it may have had effects]"
"""What stands at the end of a call's output where the agent never told the result."""

REPAIRED: Final = "repaired"
"""In the ``extra`` of a call: True where its result is ours and not the tool's."""


def repaired(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Return *turns* with a result for each tool call that has none.

    A turn that was interrupted, or whose program died, may end in the middle of a tool call. A
    model's service refuses a history with such a call, in every later turn. What is stored stays as
    it was: there ``running`` says that nobody knows how the call ended.

    The core does this to `caw_core.provider.ResumeRequest.trajectory`. A provider that keeps the
    messages of a running session itself does it before each prompt.

    Args:
        turns: turns that have ended.

    Returns:
        The turns in order. A repaired call is ``failed``, its output so far is followed by
        `NO_RESULT`, and its ``extra`` has ``repaired``. What was whole is the same object.
    """
    return tuple(_repaired_turn(turn) for turn in turns)


def _repaired_turn(turn: Turn) -> Turn:
    if all(call.status != "running" for call in turn.tool_calls):
        return turn
    return attrs.evolve(turn, output=tuple(_repaired_block(block) for block in turn.output))


def _repaired_block(block: Block) -> Block:
    if not isinstance(block, ToolUse) or block.status != "running":
        return block
    return attrs.evolve(
        block,
        output=f"{block.output}\n{NO_RESULT}" if block.output else NO_RESULT,
        is_error=True,
        status="failed",
        extra={**block.extra, REPAIRED: True},
    )
