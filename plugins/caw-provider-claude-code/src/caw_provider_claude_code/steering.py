"""What is said into a running turn.

A user line that comes while a tool runs is put before the model with the tool's result; one that
comes later begins a turn of claude's own, with a ``result`` of its own (claude 2.1.197, observed).
Claude echoes each when it takes it up, and until then takes it back when asked.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from caw_core.json_fields import mapping, objects, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON


class Steering:
    """Follows a turn's tools and the lines that wait for them. Its owner holds a lock.

    Attributes:
        waiting: the ids of the lines that claude has not taken up yet.
    """

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self._calls: set[str] = set()

    @property
    def possible(self) -> bool:
        """Whether a tool of the conversation's own runs, so that the model is asked again."""
        return bool(self._calls)

    def note(self, message: dict[str, JSON]) -> None:
        """Take note of a line of claude's."""
        if message.get("isReplay") is True:
            self.waiting.discard(text(message, "uuid"))
        elif not text(message, "parent_tool_use_id"):
            for block in objects(mapping(message, "message"), "content"):
                match text(block, "type"):
                    case "tool_use":
                        self._calls.add(text(block, "id"))
                    case "tool_result":
                        self._calls.discard(text(block, "tool_use_id"))

    def add(self) -> str:
        """Return the id for one more line, which waits from now on."""
        line_id = str(uuid.uuid4())
        self.waiting.add(line_id)
        return line_id
