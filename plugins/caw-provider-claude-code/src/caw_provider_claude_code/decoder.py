"""From claude's output lines to events. No I/O: lines or objects in, events out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.events import (
    Event,
    Notice,
    Retrying,
    StructuredDone,
    TextDone,
    ToolArguments,
    ToolFinished,
    ToolStarted,
    VendorEvent,
)
from caw_core.json_fields import decimal, mapping, number, objects, text
from caw_core.json_lines import read_line
from caw_provider_claude_code import forms, tools
from caw_provider_claude_code.streamed import StreamedMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.blocks import JSON
    from caw_provider_claude_code.plan import Plan
    from caw_provider_claude_code.usage import Meter

Message = dict[str, "JSON"]

SYNTHETIC: Final = "<synthetic>"
"""The model that claude names for messages that it wrote itself."""

_SILENT: Final = frozenset({"keep_alive", "system/thinking_tokens"})


class TurnDecoder:
    """Decodes what claude says in one turn.

    Attributes:
        result: the ``result`` line that ended the turn.
        error: the ``assistant`` line by which claude reported an error of the service.
        rate_limit: what the service last said about the account's limits during this turn.
        model: the model of the conversation.

    Args:
        meter: counts of the process.
        plan: the conversation's plan.
        model: the model as far as it is known.
        has_form: whether the prompt asked for an answer in a form that claude keeps to.
    """

    def __init__(
        self, *, meter: Meter, plan: Plan, model: str = "", has_form: bool = False
    ) -> None:
        self.result: Message | None = None
        self.error: Message = {}
        self.rate_limit: Message = {}
        self.model = model
        self._meter = meter
        self._plan = plan
        self._streamed = StreamedMessage()
        self._call: Message = {}
        self._calls: dict[str, tuple[str, Message]] = {}
        self._declined: set[str] = set()
        self._has_form = has_form
        self._form_calls: set[str] = set()
        self._handlers: Final[dict[str, Callable[[Message], Iterator[Event]]]] = {
            "assistant": self._assistant,
            "rate_limit_event": self._rate_limit,
            "result": self._ended,
            "stream_event": self._stream_event,
            "system/api_retry": self._retry,
            "system/init": self._init,
            "system/permission_denied": self._denied,
            "user": self._user,
        }

    def feed(self, raw: bytes) -> list[Event]:
        """Decode one line; one that is no object is kept as it is. Never raises."""
        line = read_line(raw)
        return [unreadable(raw)] if line.message is None else self.decode(line.message)

    def decode(self, message: Message) -> list[Event]:
        """Decode one message. Never raises."""
        kind = kind_of(message)
        if kind in _SILENT or (kind == "user" and message.get("isReplay") is True):
            return []
        if text(message, "parent_tool_use_id"):
            # A subagent's line: its parent's result tells what came of it.
            return [_vendor(kind, message)]
        handler = self._handlers.get(kind)
        if handler is None:
            return [_vendor(kind, message)]
        return [event for event in handler(message) if not self._makes_form(event)]

    def go_on(self) -> None:
        """Take note that the turn does not end with the ``result`` that was read."""
        self.result, self.error = None, {}

    def overhear(self, message: Message) -> list[Event]:
        """Decode a message from before the turn, which has no part in it. Never raises."""
        if kind_of(message) == "result":
            return [_vendor("result", message)]
        return self.decode(message)

    def take_back(self) -> list[Event]:
        """Return what makes that vanish which was streamed and never confirmed."""
        return list(self._streamed.take_back())

    def decline(self, call_id: str) -> None:
        """Remember that a tool call was not allowed to run."""
        self._declined.add(call_id)

    def _makes_form(self, event: Event) -> bool:
        if isinstance(event, ToolStarted) and event.name == forms.TOOL:
            self._form_calls.add(event.call_id)
        if not isinstance(event, ToolStarted | ToolArguments | ToolFinished):
            return False
        return event.call_id in self._form_calls

    # ------------------------------------------------------------------------------------ answers

    def _stream_event(self, message: Message) -> Iterator[Event]:
        event = mapping(message, "event")
        match text(event, "type"):
            case "message_start":
                self._call = mapping(mapping(event, "message"), "usage")
            case "message_delta":
                yield from self._meter.answered(self._call, mapping(event, "usage"), self.model)
        yield from self._streamed.feed(event)

    def _assistant(self, message: Message) -> Iterator[Event]:
        body = mapping(message, "message")
        if text(message, "error"):
            self.error = message
            yield _vendor("assistant/error", message)
            return
        if text(body, "model") == SYNTHETIC:
            yield _vendor("assistant/synthetic", message)
            return
        for block in objects(body, "content"):
            if text(block, "type") == "tool_use":
                self._calls[text(block, "id")] = (text(block, "name"), mapping(block, "input"))
            yield from self._streamed.confirm(text(body, "id"), block)

    def _user(self, message: Message) -> Iterator[Event]:
        blocks = objects(mapping(message, "message"), "content")
        results = [block for block in blocks if text(block, "type") == "tool_result"]
        if not results:
            yield _vendor("user", message)
            return
        for block in blocks:
            if block not in results:
                yield VendorEvent(kind=f"user/{text(block, 'type')}", raw=block)
        for block in results:
            # The structured form is the line's, so it can only be that of a single result.
            structured = message.get("tool_use_result") if len(results) == 1 else None
            yield from self._tool_result(block, structured)

    def _tool_result(self, block: Message, structured: JSON) -> Iterator[Event]:
        call_id = text(block, "tool_use_id")
        name, arguments = self._calls.pop(call_id, ("", None))
        yield tools.finished(
            block, structured, arguments=arguments, declined=call_id in self._declined
        )
        if block.get("is_error") is True:
            return
        changed = tools.file_changed(name, call_id, structured)
        if changed is not None:
            yield changed
        plan = self._plan.after(name, arguments or {}, structured)
        if plan is not None:
            yield plan

    def _ended(self, message: Message) -> Iterator[Event]:
        self.result = message
        yield from self._streamed.stop()
        if number(message, "num_turns") == 0 and message.get("is_error") is not True:
            # A command of claude's own user interface, answered without the model.
            yield from self._command_output(text(message, "result"))
        if self._has_form and "structured_output" in message:
            yield TextDone(text=text(message, "result"), block_id="form")
            yield StructuredDone(value=message["structured_output"])
        yield from self._meter.read(message, self.model)

    @staticmethod
    def _command_output(said: str) -> Iterator[Event]:
        if said:
            yield TextDone(text=said, block_id="command")

    # -------------------------------------------------------------------------------------- facts

    def _init(self, message: Message) -> Iterator[Event]:
        self.model = text(message, "model") or self.model
        yield _vendor("system/init", message)

    def _retry(self, message: Message) -> Iterator[Event]:
        status, wait = number(message, "error_status"), decimal(message, "retry_delay_ms")
        reason = text(message, "error") or "no reason given"
        yield Retrying(
            reason=reason if status is None else f"{reason} (HTTP {status})",
            attempt=number(message, "attempt") or 0,
            max_attempts=number(message, "max_retries") or 0,
            wait_seconds=None if wait is None else wait / 1000,
        )

    def _denied(self, message: Message) -> Iterator[Event]:
        self.decline(text(message, "tool_use_id"))
        name, why = tools.tool_name(text(message, "tool_name")), text(message, "message")
        yield Notice(message=f"claude may not use {name}: {why}", level="warning")

    def _rate_limit(self, message: Message) -> Iterator[Event]:
        self.rate_limit = mapping(message, "rate_limit_info")
        yield _vendor("rate_limit_event", message)


def unreadable(raw: bytes) -> VendorEvent:
    """Keep a line that is not a message."""
    return VendorEvent(kind="unreadable", raw=raw.decode(errors="replace"))


def kind_of(message: Message) -> str:
    """Return what kind of message it is, e.g. ``result`` or ``system/init``."""
    kind, subtype = text(message, "type"), text(message, "subtype")
    return f"system/{subtype}" if kind == "system" else kind


def _vendor(kind: str, message: Message) -> VendorEvent:
    parent = text(message, "parent_tool_use_id")
    return VendorEvent(
        kind=kind or "unknown", raw=message, extra={"parent_call_id": parent} if parent else {}
    )
