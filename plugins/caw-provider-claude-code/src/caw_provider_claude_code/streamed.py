"""The answer that the model is writing at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.events import (
    Event,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolStarted,
    VendorEvent,
)
from caw_core.json_fields import mapping, number, text
from caw_provider_claude_code.tools import never_ran, tool_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON

_TOOL_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_CONFIRMED: Final = _TOOL_BLOCKS | {"text", "thinking"}
_SILENT: Final = frozenset({"content_block_stop", "message_delta", "message_stop", "ping"})


class _Part:
    """One block of the answer; it is a preview until an ``assistant`` line has confirmed it."""

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key


class StreamedMessage:
    """Follows ``stream_event`` lines, and matches ``assistant`` lines with them.

    When a stream breaks, claude fetches the whole answer again as another message, so that what
    was streamed of the first one must be taken back; the rest of its lines come late.

    Attributes:
        message_id: the API's id of the message.
    """

    def __init__(self) -> None:
        self.message_id = ""
        self._parts: dict[int, _Part] = {}
        self._dead: set[str] = set()
        self._whole = 0

    def feed(self, event: dict[str, JSON]) -> Iterator[Event]:
        """Take the ``event`` of a ``stream_event`` line."""
        kind = text(event, "type")
        if kind == "message_start":
            yield from self.take_back()
            self.message_id = text(mapping(event, "message"), "id")
            self._whole = 0
        elif self.message_id in self._dead:
            return
        elif kind == "content_block_start":
            yield from self._begin(number(event, "index") or 0, mapping(event, "content_block"))
        elif kind == "content_block_delta":
            part = self._parts.get(number(event, "index") or 0)
            if part is not None:
                yield from _delta(part, mapping(event, "delta"))
        elif kind not in _SILENT:
            yield VendorEvent(kind=f"stream_event/{kind}", raw=event)

    def confirm(self, message_id: str, block: dict[str, JSON]) -> Iterator[Event]:
        """Take a whole block of an ``assistant`` line, which is the truth about it."""
        if message_id != self.message_id:
            yield from self.take_back()
            self._dead.add(self.message_id)
            self.message_id, self._whole = message_id, 0
        kind = text(block, "type")
        part = self._confirmed(kind, text(block, "id"))
        if part is None:
            key = f"{message_id}:whole-{self._whole}"
            self._whole += 1
        else:
            key = part.key
        if kind == "text" and (part or text(block, "text")):
            yield TextDone(text=text(block, "text"), block_id=key)
        elif kind == "thinking" and (part or text(block, "thinking")):
            yield ThinkingDone(text=text(block, "thinking"), block_id=key)
        elif kind in _TOOL_BLOCKS and part is None:
            yield ToolStarted(
                call_id=text(block, "id"),
                name=tool_name(text(block, "name")),
                arguments=mapping(block, "input"),
            )
        elif kind not in _CONFIRMED:
            yield VendorEvent(kind=f"assistant/{kind}", raw=block)

    def take_back(self) -> Iterator[Event]:
        """Make what was streamed and never confirmed vanish from the turn."""
        parts, self._parts = self._parts, {}
        for part in parts.values():
            if part.kind == "text":
                yield TextDone(text="", block_id=part.key)
            elif part.kind == "thinking":
                yield ThinkingDone(text="", block_id=part.key)
            else:
                yield never_ran(part.key)

    def stop(self) -> Iterator[Event]:
        """End the turn here: a text that was cut off stays, a call that was cut off never ran."""
        parts, self._parts = self._parts, {}
        for part in parts.values():
            if part.kind in _TOOL_BLOCKS:
                yield never_ran(part.key)

    def _begin(self, index: int, block: dict[str, JSON]) -> Iterator[Event]:
        kind = text(block, "type")
        if kind in ("text", "thinking"):
            part = self._parts[index] = _Part(kind, f"{self.message_id}:{index}")
            if text(block, kind):
                yield from _delta(part, {"type": f"{kind}_delta", kind: text(block, kind)})
        elif kind in _TOOL_BLOCKS and text(block, "id"):
            self._parts[index] = _Part(kind, text(block, "id"))
            yield ToolStarted(call_id=text(block, "id"), name=tool_name(text(block, "name")))

    def _confirmed(self, kind: str, call_id: str) -> _Part | None:
        for index, part in self._parts.items():
            if part.kind == kind and (kind in ("text", "thinking") or part.key == call_id):
                del self._parts[index]
                return part
        return None


def _delta(part: _Part, delta: dict[str, JSON]) -> Iterator[Event]:
    match text(delta, "type"):
        case "text_delta" if part.kind == "text":
            yield TextDelta(text=text(delta, "text"), block_id=part.key)
        case "thinking_delta" if part.kind == "thinking":
            yield ThinkingDelta(text=text(delta, "thinking"), block_id=part.key)
        case "input_json_delta" if part.kind in _TOOL_BLOCKS:
            yield ToolArguments(call_id=part.key, delta=text(delta, "partial_json"))
