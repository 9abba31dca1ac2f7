"""Events as log lines: for ``Agent(logger=…)``, and as records of the logger ``caw.events``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from caw_core import events as ev
from caw_core.display.plain import one_line
from caw_core.errors import ConfigError
from caw_core.session_label import label_of
from caw_core.whole_events import WholeTexts, WholeTools

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn
    from caw_core.usage import UsageStats

LONGEST: Final = 200
"""How long what was written by a person or an agent is in a line, in characters."""

LONGEST_FIELD: Final = 4000
"""The same, in the field ``text`` of a record."""

EVENTS: Final = logging.getLogger("caw.events")

_WORDY: Final = frozenset({"assistant", "thinking", "usage"})
"""Lines that are records of level DEBUG: they tell nothing but what was written, or are many."""


class AgentLogger(Protocol):
    """What ``Agent(logger=…)`` takes: three methods that take a line of text.

    ``warning`` may stand in place of ``warn``, so that a `logging.Logger` is one.
    """

    def info(self, message: str, /) -> None:
        """Take a line about something usual."""

    def warn(self, message: str, /) -> None:
        """Take a line about something that a person should know."""

    def error(self, message: str, /) -> None:
        """Take a line about something that failed."""


@attrs.frozen
class Line:
    """One event worth a line.

    Attributes:
        event: what it is, in one word, such as ``tool_call``.
        words: what is said about it.
        text: what a person, an agent or a tool wrote: may be long, and is private.
        fields: structured fields, as docs/reference/logging.md has them.
        level: of `logging`.
    """

    event: str
    words: str = ""
    text: str = ""
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    level: int = logging.INFO

    def message(self, *, private: bool = True) -> str:
        """Return the line: no line breaks, a bounded length, *private* text only if wanted."""
        parts = (self.event, one_line(self.words, LONGEST))
        text = one_line(self.text, LONGEST) if private else ""
        return " ".join(filter(None, (*parts, text))).removesuffix(" →")


Sink = Callable[["SessionInfo", int, Line], None]
"""Takes the lines of turns: the head of the session's record, the turn's index, the line."""


class EventLog:
    """Gives a sink one line per event; a `caw_core.listeners.TurnListener`.

    Args:
        sink: takes the lines.
        subagents: give it also what happens in subagents.
    """

    def __init__(self, sink: Sink, *, subagents: bool) -> None:
        self._sink = sink
        self._subagents = subagents
        self._turns: dict[tuple[str, int], tuple[WholeTools, WholeTexts]] = {}

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        """Tell of the prompt, or of what made the agent begin a turn."""
        event = "user" if turn.origin == "user" else "agent_turn"
        self._sink(session, turn.index, Line(event, text=turn.input))

    def show(self, session: SessionInfo, turn: int, event: ev.Event) -> None:
        """Tell of what happened, once it is whole."""
        key = (session.session_id, turn)
        if key not in self._turns:
            self._turns[key] = (WholeTools(), WholeTexts())
        tools, texts = self._turns[key]
        for each in tools.feed(event):
            for whole in texts.feed(each):
                self._tell(session, turn, whole)

    def end(self, session: SessionInfo, turn: Turn) -> None:
        """Tell how the turn ended."""
        _, texts = self._turns.pop((session.session_id, turn.index), (None, None))
        for whole in texts.rest() if texts is not None else ():
            self._tell(session, turn.index, whole)
        self._sink(session, turn.index, _end_line(turn))

    def _tell(self, session: SessionInfo, turn: int, event: ev.Event) -> None:
        if isinstance(event, ev.SubagentEvent) and not self._subagents:
            return
        line = _line_of(event)
        if line is not None:
            self._sink(session, turn, line)


# --------------------------------------------------------------------------------------- the sinks


def check_logger(logger: object) -> object:
    """Return *logger* if it can be told of events, also None; raise `ConfigError` otherwise."""
    names = ("info", "warn", "error")
    missing = [name for name in names if not callable(getattr(logger, name, None))]
    if logger is None or not missing or (missing == ["warn"] and hasattr(logger, "warning")):
        return logger
    kind = type(logger).__name__
    msg = f"logger has the methods info, warn (or warning) and error; {kind} lacks {missing[0]}"
    raise ConfigError(msg)


def logger_sink(logger: Any) -> Sink:
    """Return what gives lines to an `AgentLogger`; to a `logging.Logger` with their fields."""
    if isinstance(logger, logging.Logger | logging.LoggerAdapter):

        def log(session: SessionInfo, turn: int, line: Line) -> None:
            fields = _fields(session, turn, line)
            logger.log(line.level, "%s", _labelled(session, line.message()), extra=fields)

        return log

    methods = {
        logging.INFO: logger.info,
        logging.WARNING: getattr(logger, "warn", None) or logger.warning,
        logging.ERROR: logger.error,
    }

    def tell(session: SessionInfo, turn: int, line: Line) -> None:
        del turn
        method = methods.get(line.level)
        if method is not None:
            method(_labelled(session, line.message()))

    return tell


def record(session: SessionInfo, turn: int, line: Line) -> None:
    """Make a record of ``caw.events``; what was written is part of it only at level DEBUG."""
    if not records_wanted():
        return
    level = logging.DEBUG if line.event in _WORDY else line.level
    private = EVENTS.isEnabledFor(logging.DEBUG)
    fields = _fields(session, turn, line)
    if private and line.text:
        fields["text"] = line.text[:LONGEST_FIELD]
    EVENTS.log(level, "%s", _labelled(session, line.message(private=private)), extra=fields)


def records_wanted() -> bool:
    """Tell whether anybody may want records of ``caw.events``."""
    # Not WARNING, which is on where nobody asked for anything: warnings come as events and errors.
    return EVENTS.isEnabledFor(logging.INFO)


def _labelled(session: SessionInfo, message: str) -> str:
    return f"[{label_of(session)}] {message}"


def _fields(session: SessionInfo, turn: int, line: Line) -> dict[str, Any]:
    head = {"session_id": session.session_id, "provider": session.provider, "turn": turn}
    facts = {name: value for name, value in line.fields.items() if value not in (None, "")}
    return {**head, "event": line.event, **facts}


# --------------------------------------------------------------------------------------- the lines


def _line_of(event: ev.Event) -> Line | None:  # noqa: C901, PLR0911, PLR0912 - a flat table
    fields: dict[str, Any]
    match event:
        case ev.TextDone():
            return Line("assistant", text=event.text)
        case ev.ThinkingDone():
            return Line("thinking", text=event.text)
        case ev.ToolStarted():
            fields = {"tool": event.name, "call_id": event.call_id}
            return Line("tool_call", event.name, _json(event.arguments), fields)
        case ev.ToolFinished():
            return _tool_line(event)
        case ev.UsageReported():
            fields = {"model": event.model, **_usage_fields(event.usage)}
            return Line("usage", _usage_words(event.usage), "", fields, logging.DEBUG)
        case ev.FileChanged():
            fields = {"path": event.path, "kind": event.kind, "call_id": event.call_id}
            return Line("file_changed", f"{event.kind} {event.path}", event.diff, fields)
        case ev.PlanUpdated():
            plan = "; ".join(f"{entry.status}: {entry.text}" for entry in event.entries)
            return Line("plan", text=plan)
        case ev.ImageDone():
            return Line("image", event.mime_type)
        case ev.StructuredDone():
            return Line("structured", text=_json(event.value))
        case ev.Steered():
            return Line("steered", text=event.text)
        case ev.PermissionAsked():
            fields = {"tool": event.tool, "call_id": event.call_id}
            return Line("permission_asked", event.tool, _json(event.arguments), fields)
        case ev.PermissionSettled():
            words = "allowed" if event.allowed else "denied"
            return Line("permission_settled", words, event.reason, {"allowed": event.allowed})
        case ev.Notice():
            level = logging.WARNING if event.level == "warning" else logging.INFO
            return Line("notice", event.message, level=level)
        case ev.Retrying():
            fields = {"attempt": event.attempt, "wait_seconds": event.wait_seconds}
            return Line("retrying", event.reason, "", fields, logging.WARNING)
        case ev.SubagentEvent():
            return _subagent_line(event)
        case ev.ProviderChanged():
            fields = {"from_provider": event.from_provider, "cause": event.cause}
            words = f"{event.from_provider} to {event.to_provider}: {event.reason or event.cause}"
            return Line("provider_changed", words, "", fields, logging.WARNING)
        case ev.Waiting():
            fields = {"wait_seconds": event.seconds, "until": event.until}
            return Line(
                "waiting", f"until {event.until}: {event.reason}", "", fields, logging.WARNING
            )
    return None


def _tool_line(event: ev.ToolFinished) -> Line:
    failed = event.is_error or event.status in {"failed", "declined"}
    status = event.status or ("failed" if failed else "completed")
    return Line(
        "tool_error" if failed else "tool_result",
        f"{event.name} {status} duration={event.duration_ms}ms →",
        event.output or "",
        {
            "tool": event.name,
            "call_id": event.call_id,
            "status": status,
            "duration_ms": event.duration_ms,
        },
    )


def _subagent_line(event: ev.SubagentEvent) -> Line | None:
    line = _line_of(event.event)
    if line is None:
        return None
    return Line(
        "subagent",
        " ".join(filter(None, (event.name, line.event, line.words))),
        line.text,
        {**line.fields, "subagent": event.name},
        line.level,
    )


def _end_line(turn: Turn) -> Line:
    level = {"completed": logging.INFO, "interrupted": logging.WARNING}
    facts = [f"status={turn.status}", f"duration={turn.duration_ms}ms", _usage_words(turn.usage)]
    return Line(
        "turn_end",
        " ".join(filter(None, facts)),
        f"{turn.error.type}: {turn.error.message}" if turn.error is not None else "",
        {
            "status": turn.status,
            "stop_reason": turn.stop_reason,
            "duration_ms": turn.duration_ms,
            "model": turn.model,
            "error_type": turn.error.type if turn.error is not None else None,
            **_usage_fields(turn.usage),
        },
        level.get(turn.status, logging.ERROR),
    )


def _usage_words(usage: UsageStats) -> str:
    if not usage:
        return ""
    came_in = usage.total_tokens - usage.output_tokens
    words = f"tokens={came_in}in/{usage.output_tokens}out"
    return words + (f" cost=${usage.cost_usd:.4f}" if usage.cost_usd else "")


def _usage_fields(usage: UsageStats) -> dict[str, Any]:
    if not usage:
        return {}
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd")
    return {name: getattr(usage, name) for name in names}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
