"""From the lines of ``codex exec --json`` to events. No I/O.

The kinds of lines and items are those that codex 0.169.0 prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.events import (
    Event,
    Notice,
    PlanUpdated,
    TextDone,
    UsageReported,
    VendorEvent,
)
from caw_core.json_fields import mapping, objects, text
from caw_core.json_lines import read_line
from caw_core.trajectory import PlanEntry
from caw_core.usage import UsageStats
from caw_provider_codex import items
from caw_provider_codex.decoder import Outcome, retrying, unreadable
from caw_provider_codex.rollout import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON

_RETRY: Final = "Reconnecting"
_ITEMS: Final = {
    "agent_message": "agentMessage",
    "reasoning": "reasoning",
    "command_execution": "commandExecution",
    "file_change": "fileChange",
    "mcp_tool_call": "mcpToolCall",
    "collab_tool_call": "collabAgentToolCall",
    "web_search": "webSearch",
}
"""The item's kind here and in the app-server's protocol."""


class ExecDecoder:
    """Decodes what one run of ``codex exec`` prints.

    Attributes:
        thread_id: the conversation, as soon as codex has named it.
        outcome: set when codex has ended the turn.
        total: what the conversation has used; None until codex said it.
        answer: the last text of the agent.

    Args:
        before: what the conversation had used before this run; codex reports totals.
        model: the model that was asked for.
    """

    def __init__(self, before: UsageStats, *, model: str = "") -> None:
        self.thread_id = ""
        self.outcome: Outcome | None = None
        self.total: UsageStats | None = None
        self.answer = ""
        self._before = before
        self._model = model

    def feed(self, line: bytes) -> list[Event]:
        """Decode one line; one that is no object is kept as it is. Never raises."""
        message = read_line(line).message
        return [unreadable(line)] if message is None else self.decode(message)

    def decode(self, message: dict[str, JSON]) -> list[Event]:
        """Decode one message. Never raises."""
        match text(message, "type"):
            case "thread.started":
                self.thread_id = text(message, "thread_id")
            case "turn.failed":
                self.outcome = Outcome(status="failed", error=mapping(message, "error"))
            case "turn.completed":
                self.outcome = Outcome(status="completed", error={})
                return [self._usage(mapping(message, "usage"))]
            case "item.started" | "item.updated" | "item.completed" as kind:
                events = list(self._item(mapping(message, "item"), kind))
                self._remember(events)
                return events
            case "error":
                return list(self._error(text(message, "message")))
            case kind if kind != "turn.started":
                return [VendorEvent(kind=kind, raw=message)]
        return []

    def _item(self, item: dict[str, JSON], kind: str) -> Iterator[Event]:
        name = text(item, "type")
        if name == "todo_list":
            yield _plan(item)
        elif name == "error":
            if kind == "item.completed":
                yield Notice(message=text(item, "message"), level="warning")
        elif name not in _ITEMS:
            if kind == "item.completed":
                yield VendorEvent(kind=f"item.completed:{name}", raw=item)
        elif kind == "item.started":
            yield from items.started(_as_thread_item(item))
        elif kind == "item.completed":
            yield from items.completed(_as_thread_item(item))

    def _remember(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TextDone):
                self.answer = event.text

    def _usage(self, counts: dict[str, JSON]) -> UsageReported:
        self.total = total = usage_of(counts)
        before = self._before
        return UsageReported(
            usage=UsageStats(
                input_tokens=max(0, total.input_tokens - before.input_tokens),
                output_tokens=max(0, total.output_tokens - before.output_tokens),
                cache_read_tokens=max(0, total.cache_read_tokens - before.cache_read_tokens),
                cache_write_tokens=max(0, total.cache_write_tokens - before.cache_write_tokens),
                reasoning_tokens=max(0, total.reasoning_tokens - before.reasoning_tokens),
            ),
            model=self._model,
        )

    def _error(self, message: str) -> Iterator[Event]:
        # A final error comes again with turn.failed, which ends the turn.
        if message.startswith(_RETRY):
            yield retrying(message)


def _plan(item: dict[str, JSON]) -> PlanUpdated:
    entries = [
        PlanEntry(
            text=text(entry, "text"),
            status="completed" if entry.get("completed") is True else "pending",
        )
        for entry in objects(item, "items")
    ]
    return PlanUpdated(entries=tuple(entries))


def _as_thread_item(item: dict[str, JSON]) -> dict[str, JSON]:
    """Return an item as the app-server's protocol has it."""
    same = {_camel(name): value for name, value in item.items()}
    same["type"] = _ITEMS[text(item, "type")]
    if same["type"] == "reasoning":
        same["summary"] = [text(item, "text")]
    if same["type"] == "fileChange":
        same["changes"] = [
            {**change, "kind": {"type": text(change, "kind")}}
            for change in objects(item, "changes")
        ]
    if mapping(item, "result"):
        result = mapping(item, "result")
        same["result"] = {_camel(name): value for name, value in result.items()}
    return same


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
