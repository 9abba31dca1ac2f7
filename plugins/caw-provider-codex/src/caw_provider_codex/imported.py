"""Another agent's conversation, put into a new thread of codex's.

``thread/inject_items`` takes items of OpenAI's Responses API and appends them to what the model
sees; they are kept in the thread (codex 0.169.0, observed).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from caw_core.blocks import SteerBlock, TextBlock, ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_core.trajectory import Trajectory, Turn

Item = dict[str, "JSON"]

_LONGEST_NAME: Final = 64
_BEFORE: Final = (
    "The conversation up to here was held with another agent ({provider}), whose tools may have "
    "had other names. Go on in its place; files may have changed since."
)


def history_items(history: Trajectory) -> list[JSON]:
    """Return the items for a history: prompts, answers, and tool calls with their results."""
    items: list[JSON] = [item for turn in history.turns for item in _turn(turn)]
    before = _BEFORE.format(provider=history.provider)
    return [*items, _message("developer", "input_text", before)]


def _turn(turn: Turn) -> Iterator[Item]:
    yield _message("user", "input_text", turn.input)
    for place, block in enumerate(turn.output):
        match block:
            case TextBlock() if block.text:
                yield _message("assistant", "output_text", block.text)
            case SteerBlock():
                yield _message("user", "input_text", block.text)
            case ToolUse():
                # The agent's own ids are unique within a turn only.
                yield from _call(block, f"call_{turn.index}_{place}")
            case _:
                pass


def _call(call: ToolUse, call_id: str) -> Iterator[Item]:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", call.name)[:_LONGEST_NAME] or "tool"
    arguments = json.dumps(dict(call.arguments))
    yield {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}
    yield {"type": "function_call_output", "call_id": call_id, "output": call.output}


def _message(role: str, kind: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
