"""From opencode's events and messages to events. No I/O: values in, events out."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.events import (
    Event,
    Notice,
    Retrying,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolOutput,
    ToolStarted,
    UsageReported,
    VendorEvent,
)
from caw_core.json_fields import decimal, mapping, number, objects, text
from caw_core.usage import UsageStats
from caw_provider_opencode import parts
from caw_provider_opencode.errors import Retry
from caw_provider_opencode.permissions import FORM
from caw_provider_opencode.sse import parse_message
from caw_provider_opencode.tool_servers import display_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from caw_core.blocks import JSON
    from caw_provider_opencode.sse import Message

Properties = dict[str, "JSON"]

SILENT: Final = frozenset(
    {
        "message.part.removed",
        "message.removed",
        "permission.asked",
        "permission.replied",
        "question.asked",
        "question.rejected",
        "question.replied",
        "session.created",
        "session.deleted",
        "session.diff",
        "session.idle",
        "session.updated",
        "todo.updated",
    },
)
"""Events that say nothing new here: other ones carry the facts, or they are settled elsewhere."""

_SILENT_PARTS: Final = frozenset({"compaction", "snapshot", "step-finish"})


@attrs.define
class _Text:
    """A text or a piece of reasoning that grows."""

    message: str
    kind: str
    text: str = ""
    done: bool = False


@attrs.define
class _Tool:
    """A tool call: how far it was told of."""

    named: bool
    output: str = ""
    finished: bool = False


@attrs.define
class _Answer:
    """An assistant message of this turn.

    ``spoken``: its texts are the turn's output; a subagent's are not, nor is the summary that
    opencode writes for itself when it compacts a conversation.
    """

    session: str
    spoken: bool
    completed: bool = False


class TurnDecoder:
    """Decodes what opencode says while one turn runs.

    Each fact is told once, whether it comes as an event, with the answer to the prompt, or when
    the history is read. Under load the events come out of order: a message's end before its parts,
    and its parts before its beginning (opencode 1.18.33, observed).

    Attributes:
        error: what ``session.error`` said last about this session; empty if nothing.
        retry: what opencode waits for before it tries again; None if it does not wait.

    Args:
        session_id: opencode's id of the session; other ids are its subagents'.
        since_ms: when the turn began, in milliseconds since 1970; older messages belong to
            earlier turns, which opencode still updates when they are over.
        servers: the names of the tool servers, whose tools are told as ``server.tool``.
        clock: the time in seconds since 1970.
    """

    def __init__(
        self,
        session_id: str,
        *,
        since_ms: int = 0,
        servers: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.error: Properties = {}
        self.retry: Retry | None = None
        self._session = session_id
        self._since = since_ms
        self._servers = servers
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._texts: dict[str, _Text] = {}
        self._tools: dict[str, _Tool] = {}
        self._others: set[str] = set()
        self._early: dict[str, list[Callable[[], Iterator[Event]]]] = {}
        self._handlers: Final[dict[str, Callable[[Properties], Iterator[Event]]]] = {
            "message.part.delta": self._delta,
            "message.part.updated": lambda properties: self._part(mapping(properties, "part")),
            "message.updated": lambda properties: self._info(mapping(properties, "info")),
            "session.compacted": self._compacted,
            "session.error": self._error,
            "session.status": self._status,
        }

    def feed(self, data: bytes) -> list[Event]:
        """Decode the data of one server-sent event. Never raises."""
        message = parse_message(data)
        return [] if message is None else self.decode(message)

    def decode(self, message: Message) -> list[Event]:
        """Decode one event. Never raises."""
        if not message.type:
            return [VendorEvent(kind="unreadable", raw=message.raw.decode(errors="replace"))]
        # What names no session may be another one's; see `LiveServer`.
        handler = self._handlers.get(message.type) if message.session_id else None
        if handler is not None:
            return list(handler(message.properties))
        if message.type in SILENT:
            return []
        return [VendorEvent(kind=message.type, raw=message.properties)]

    def history(self, messages: JSON) -> list[Event]:
        """Decode messages as ``GET /session/{id}/message`` lists them. Never raises."""
        events: list[Event] = []
        for message in objects({"messages": messages}, "messages"):
            events += self._info(mapping(message, "info"), tell_usage=False)
            for part in objects(message, "parts"):
                events += self._part(part)
            events += self._info(mapping(message, "info"))
        return events

    def is_complete(self, message_id: str) -> bool:
        """Whether the events told that the assistant message has come to its end."""
        answer = self._answers.get(message_id)
        return answer is not None and answer.completed

    def is_earlier(self, message: JSON) -> bool:
        """Whether a message, as the history has it, is of an earlier turn."""
        created = number(mapping(mapping(message, "info"), "time"), "created")
        return created is not None and created < self._since

    @property
    def sessions(self) -> set[str]:
        """The ids of the session and of the subagents that were at work in this turn."""
        return {self._session, *(answer.session for answer in self._answers.values())}

    @property
    def spoken(self) -> int:
        """How many messages the turn's output consists of so far."""
        return sum(answer.session == self._session for answer in self._answers.values())

    # ---------------------------------------------------------------------------------- messages

    def _info(self, info: Properties, *, tell_usage: bool = True) -> Iterator[Event]:
        message, created = text(info, "id"), number(mapping(info, "time"), "created")
        early = self._early.pop(message, [])
        if text(info, "role") != "assistant" or created is None or created < self._since:
            return
        session = text(info, "sessionID")
        answer = self._answers.setdefault(
            message,
            _Answer(session, session == self._session and info.get("summary") is not True),
        )
        for tell in early:
            yield from tell()
        if not tell_usage or answer.completed:
            return
        if number(mapping(info, "time"), "completed") is not None:
            answer.completed = True
            yield from self._usage(info, session)

    def _usage(self, info: Properties, session: str) -> Iterator[Event]:
        tokens = mapping(info, "tokens")
        cache, reasoning = mapping(tokens, "cache"), _count(tokens, "reasoning")
        # For a model whose price it does not know, opencode says 0.
        cost = _amount(info, "cost") or None
        usage = UsageStats(
            input_tokens=_count(tokens, "input"),
            # opencode counts reasoning beside the output.
            output_tokens=_count(tokens, "output") + reasoning,
            cache_read_tokens=_count(cache, "read"),
            cache_write_tokens=_count(cache, "write"),
            reasoning_tokens=reasoning,
            cost_usd=cost,
            cost_source="unknown" if cost is None else "reported",
        )
        if usage:
            subagent = session != self._session
            yield UsageReported(
                usage=usage,
                model="" if subagent else f"{text(info, 'providerID')}/{text(info, 'modelID')}",
                extra={"subagent": session} if subagent else {},
            )

    # ------------------------------------------------------------------------------------- parts

    def _part(self, part: Properties) -> Iterator[Event]:
        answer = self._answers.get(text(part, "messageID"))
        if answer is None:
            # The prompt itself, what belongs to an earlier turn, or what came before its message.
            early = self._early.setdefault(text(part, "messageID"), [])
            early.append(lambda: self._part(part))
            return
        if not answer.spoken:
            yield from self._silent_part(part, answer)
            return
        match text(part, "type"):
            case "text" | "reasoning":
                yield from self._text(part)
            case "tool":
                yield from self._tool(part)
            case "step-start":
                yield from self._forget_failed_attempt(part)
            case "file" if (image := parts.image(part)) is not None:
                if self._first(part):
                    yield image
            case kind if kind not in _SILENT_PARTS and self._first(part):
                yield VendorEvent(kind=f"part:{kind}", raw=part)

    def _silent_part(self, part: Properties, answer: _Answer) -> Iterator[Event]:
        # What a subagent says is its parent's business, what it does to files is ours.
        if answer.session == self._session or not _is_final(part) or not self._first(part):
            return
        extra = {"subagent": answer.session}
        yield VendorEvent(kind=f"subagent:{text(part, 'type')}", raw=part, extra=extra)
        for change in parts.file_changes(part):
            yield attrs.evolve(change, extra=extra)

    def _first(self, part: Properties) -> bool:
        seen = text(part, "id") in self._others
        self._others.add(text(part, "id"))
        return not seen

    def _text(self, part: Properties) -> Iterator[Event]:
        kind, now = text(part, "type"), text(part, "text")
        piece = self._texts.setdefault(text(part, "id"), _Text(text(part, "messageID"), kind))
        if number(mapping(part, "time"), "end") is not None:
            if not piece.done or piece.text != now:
                piece.done = True
                if now or piece.text:
                    yield _text_done(piece.kind, text(part, "id"), now)
                piece.text = now
        elif not piece.done and len(now) > len(piece.text) and now.startswith(piece.text):
            more, piece.text = now[len(piece.text) :], now
            yield _text_delta(piece.kind, text(part, "id"), more)

    def _delta(self, properties: Properties) -> Iterator[Event]:
        answer = self._answers.get(text(properties, "messageID"))
        if answer is None:
            early = self._early.setdefault(text(properties, "messageID"), [])
            early.append(lambda: self._delta(properties))
            return
        if not answer.spoken:
            return
        piece = self._texts.get(text(properties, "partID"))
        if piece is None or text(properties, "field") != "text":
            yield VendorEvent(kind="message.part.delta", raw=properties)
        elif not piece.done and text(properties, "delta"):
            piece.text += text(properties, "delta")
            yield _text_delta(piece.kind, text(properties, "partID"), text(properties, "delta"))

    def _forget_failed_attempt(self, part: Properties) -> Iterator[Event]:
        # opencode begins the same message again after an error, and drops what it had of it.
        for part_id, piece in self._texts.items():
            if piece.message == text(part, "messageID") and not piece.done:
                piece.done = True
                if piece.text:
                    yield _text_done(piece.kind, part_id, "")
                piece.text = ""

    def _tool(self, part: Properties) -> Iterator[Event]:
        call_id, state = text(part, "callID"), mapping(part, "state")
        tool = self._tools.get(call_id)
        # The answer in a form that was asked for comes with the message as well.
        if (tool is not None and tool.finished) or text(part, "tool") == FORM:
            return
        given, name = mapping(state, "input"), display_name(text(part, "tool"), self._servers)
        if tool is None:
            tool = self._tools[call_id] = _Tool(named=bool(given))
            yield ToolStarted(call_id=call_id, name=name, arguments=given)
        elif given and not tool.named:
            tool.named = True
            delta = json.dumps(given, ensure_ascii=False)
            yield ToolArguments(call_id=call_id, delta=delta)
        if text(state, "status") in parts.FINAL:
            tool.finished = True
            yield attrs.evolve(parts.tool_finished(part), name=name)
            yield from parts.file_changes(part)
            plan = parts.plan(part)
            if plan is not None:
                yield plan
            return
        output = text(mapping(state, "metadata"), "output")
        # Of a long output opencode shows the end only; the result will hold it.
        if len(output) > len(tool.output) and output.startswith(tool.output):
            more, tool.output = output[len(tool.output) :], output
            yield ToolOutput(call_id=call_id, delta=more)

    # ------------------------------------------------------------------------------- the session

    def _status(self, properties: Properties) -> Iterator[Event]:
        status, session = mapping(properties, "status"), text(properties, "sessionID")
        if text(status, "type") != "retry":
            if session == self._session:
                self.retry = None
            return
        upcoming = decimal(status, "next")
        wait = None if upcoming is None else max(0.0, upcoming / 1000 - self._clock())
        self.retry = Retry(
            text(status, "message"),
            number(status, "attempt") or 0,
            wait,
            is_plan_limit=bool(mapping(status, "action")),
        )
        yield Retrying(
            reason=self.retry.message,
            attempt=self.retry.attempt,
            wait_seconds=wait,
            extra={} if session == self._session else {"subagent": session},
        )

    def _error(self, properties: Properties) -> Iterator[Event]:
        if text(properties, "sessionID") == self._session:
            self.error = mapping(properties, "error")
        yield from ()

    @staticmethod
    def _compacted(_: Properties) -> Iterator[Event]:
        yield Notice(message="opencode summarised the conversation to make room in the context")


def _amount(holder: Properties, name: str) -> float:
    value = holder.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        return 0.0
    return float(value)


def _count(tokens: Properties, name: str) -> int:
    return int(_amount(tokens, name))


def _is_final(part: Properties) -> bool:
    if text(part, "type") == "tool":
        return text(mapping(part, "state"), "status") in parts.FINAL
    return number(mapping(part, "time"), "end") is not None


def _text_done(kind: str, block_id: str, whole: str) -> Event:
    event = ThinkingDone if kind == "reasoning" else TextDone
    return event(text=whole, block_id=block_id)


def _text_delta(kind: str, block_id: str, more: str) -> Event:
    event = ThinkingDelta if kind == "reasoning" else TextDelta
    return event(text=more, block_id=block_id)
