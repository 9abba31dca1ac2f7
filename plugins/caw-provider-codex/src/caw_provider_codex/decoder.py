"""From codex's notifications to events. No I/O: lines or objects in, events out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.events import (
    Event,
    Notice,
    PlanUpdated,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolOutput,
    UsageReported,
    VendorEvent,
)
from caw_core.json_fields import count, mapping, number, objects, text
from caw_core.json_lines import read_line
from caw_core.trajectory import PlanEntry
from caw_core.usage import UsageStats
from caw_provider_codex import items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.blocks import JSON

Params = dict[str, "JSON"]

SILENT: Final = frozenset(
    {
        "account/updated",
        "app/list/updated",
        "item/fileChange/patchUpdated",
        "item/reasoning/summaryPartAdded",
        "mcpServer/oauthLogin/completed",
        "remoteControl/status/changed",
        "serverRequest/resolved",
        "skills/changed",
        "thread/archived",
        "thread/closed",
        "thread/compacted",
        "thread/goal/cleared",
        "thread/name/updated",
        "thread/readState/changed",
        "thread/settings/updated",
        "thread/started",
        "thread/status/changed",
        "thread/unarchived",
        "turn/diff/updated",
        "turn/started",
    },
)
"""Notifications that say nothing new: other ones carry the same facts, or they are about lists."""

_ATTEMPT: Final = re.compile(r"\b(\d{1,6})/(\d{1,6})\b")
_PLAN_STATUS: Final = {"inProgress": "in_progress"}


@attrs.frozen(kw_only=True)
class Outcome:
    """How codex says that the turn ended; ``error`` is its ``TurnError`` or empty."""

    status: str
    error: Params


class TurnDecoder:
    """Decodes what codex says while one turn runs.

    Attributes:
        turn_id: codex's id of the turn; what belongs to another turn is not this turn's output.
        outcome: set when codex has ended the turn.
        rate_limits: the account's limits as codex last reported them during this turn.
        model: the model that answers.

    Args:
        thread_id: the thread that the turn belongs to.
        model: the model that the thread was opened with.
        turn_id: the turn's id; ``""`` until codex has told it.
    """

    def __init__(self, thread_id: str, *, model: str = "", turn_id: str = "") -> None:
        self.thread_id = thread_id
        self.turn_id = turn_id
        self.model = model
        self.outcome: Outcome | None = None
        self.rate_limits: Params = {}
        self._summary: dict[str, int] = {}
        self._handlers: Final[dict[str, Callable[[Params], Iterator[Event]]]] = {
            "account/rateLimits/updated": self._rate_limits,
            "configWarning": self._config_warning,
            "deprecationNotice": self._deprecation,
            "error": self._error,
            "guardianWarning": self._warning,
            "item/agentMessage/delta": self._text_delta,
            "item/commandExecution/outputDelta": self._tool_output,
            "item/completed": self._item_completed,
            "item/fileChange/outputDelta": self._tool_output,
            "item/mcpToolCall/progress": self._mcp_progress,
            "item/plan/delta": self._text_delta,
            "item/reasoning/summaryTextDelta": self._summary_delta,
            "item/reasoning/textDelta": self._reasoning_delta,
            "item/started": self._item_started,
            "mcpServer/startupStatus/updated": self._mcp_startup,
            "model/rerouted": self._rerouted,
            "modelProvider/authRecoveryStarted": self._info,
            "modelProvider/authRecoveryCompleted": self._info,
            "thread/tokenUsage/updated": self._usage,
            "turn/completed": self._turn_completed,
            "turn/plan/updated": self._plan,
            "warning": self._warning,
        }

    def feed(self, line: bytes) -> list[Event]:
        """Decode one line; one that is no object is kept as it is. Never raises."""
        message = read_line(line).message
        if message is None or "method" not in message:
            return [unreadable(line)]
        return self.decode(message)

    def decode(self, message: dict[str, JSON]) -> list[Event]:
        """Decode one notification. Never raises."""
        method = text(message, "method")
        params = mapping(message, "params")
        thread = text(params, "threadId")
        if thread and thread != self.thread_id:
            return list(self._from_subagent(method, params))
        if not self._is_ours(method, params):
            # The replay of a usage report, or the end of what an earlier turn left running.
            if method == "thread/tokenUsage/updated" or method in SILENT:
                return []
            return [VendorEvent(kind=method, raw=params)]
        handler = self._handlers.get(method)
        if handler is not None:
            return list(handler(params))
        return [] if method in SILENT else [VendorEvent(kind=method, raw=params)]

    def _is_ours(self, method: str, params: Params) -> bool:
        turn_id = text(params, "turnId")
        if method in ("turn/started", "turn/completed"):
            turn_id = text(mapping(params, "turn"), "id")
        return not turn_id or turn_id == self.turn_id

    def _from_subagent(self, method: str, params: Params) -> Iterator[Event]:
        # What a subagent spends is spent by this turn; what it says is its parent's business.
        if method == "thread/tokenUsage/updated":
            yield from self._usage(params, subagent=text(params, "threadId"))
        elif method not in SILENT and not method.lower().endswith("delta"):
            yield VendorEvent(kind=method, raw=params)

    # ------------------------------------------------------------------------------------- items

    def _item_started(self, params: Params) -> Iterator[Event]:
        return items.started(mapping(params, "item"))

    def _item_completed(self, params: Params) -> Iterator[Event]:
        return items.completed(mapping(params, "item"))

    def _text_delta(self, params: Params) -> Iterator[Event]:
        yield TextDelta(text=text(params, "delta"), block_id=text(params, "itemId"))

    def _summary_delta(self, params: Params) -> Iterator[Event]:
        item, index = text(params, "itemId"), number(params, "summaryIndex") or 0
        apart = "\n\n" if index != self._summary.get(item, index) else ""
        self._summary[item] = index
        yield ThinkingDelta(text=apart + text(params, "delta"), block_id=item)

    def _reasoning_delta(self, params: Params) -> Iterator[Event]:
        # Where both come, the summary is what the finished block will hold.
        if text(params, "itemId") not in self._summary:
            yield ThinkingDelta(text=text(params, "delta"), block_id=text(params, "itemId"))

    def _tool_output(self, params: Params) -> Iterator[Event]:
        yield ToolOutput(call_id=text(params, "itemId"), delta=text(params, "delta"))

    def _mcp_progress(self, params: Params) -> Iterator[Event]:
        yield ToolOutput(call_id=text(params, "itemId"), delta=text(params, "message") + "\n")

    # -------------------------------------------------------------------------------------- turns

    def _turn_completed(self, params: Params) -> Iterator[Event]:
        turn = mapping(params, "turn")
        self.outcome = Outcome(status=text(turn, "status"), error=mapping(turn, "error"))
        yield from ()

    def _plan(self, params: Params) -> Iterator[Event]:
        entries = []
        for step in objects(params, "plan"):
            status = text(step, "status")
            entries.append(
                PlanEntry(text=text(step, "step"), status=_PLAN_STATUS.get(status, status)),
            )
        why = text(params, "explanation")
        yield PlanUpdated(entries=tuple(entries), extra={"explanation": why} if why else {})

    def _usage(self, params: Params, subagent: str = "") -> Iterator[Event]:
        last = mapping(mapping(params, "tokenUsage"), "last")
        counts = {name: count(last, name) for name in _COUNTS}
        cached = counts["cachedInputTokens"]
        written = counts["cacheWriteInputTokens"]
        yield UsageReported(
            usage=UsageStats(
                # codex counts what came from the cache, or went into it, as input too.
                input_tokens=max(0, counts["inputTokens"] - cached - written),
                output_tokens=counts["outputTokens"],
                cache_read_tokens=cached,
                cache_write_tokens=written,
                reasoning_tokens=min(counts["reasoningOutputTokens"], counts["outputTokens"]),
            ),
            model="" if subagent else self.model,
            extra={"subagent": subagent} if subagent else {},
        )

    def _error(self, params: Params) -> Iterator[Event]:
        # A final error comes again with turn/completed, which ends the turn.
        if params.get("willRetry") is True:
            error = mapping(params, "error")
            yield retrying(text(error, "message"), text(error, "additionalDetails"))

    def _rerouted(self, params: Params) -> Iterator[Event]:
        self.model = text(params, "toModel") or self.model
        old, why = text(params, "fromModel"), params.get("reason")
        yield Notice(message=f"codex answers with {self.model} instead of {old}: {why}")

    def _rate_limits(self, params: Params) -> Iterator[Event]:
        self.rate_limits = mapping(params, "rateLimits")
        if mapping(self.rate_limits, "primary") or mapping(self.rate_limits, "secondary"):
            yield VendorEvent(kind="account/rateLimits/updated", raw=params)

    # ------------------------------------------------------------------------------------ notices

    def _warning(self, params: Params) -> Iterator[Event]:
        yield Notice(message=text(params, "message"), level="warning")

    def _info(self, params: Params) -> Iterator[Event]:
        yield Notice(message=text(params, "message"))

    def _config_warning(self, params: Params) -> Iterator[Event]:
        parts = (text(params, "summary"), text(params, "details"), text(params, "path"))
        yield Notice(message=": ".join(part for part in parts if part), level="warning")

    def _deprecation(self, params: Params) -> Iterator[Event]:
        parts = (text(params, "summary"), text(params, "details"))
        yield Notice(message=": ".join(part for part in parts if part))

    def _mcp_startup(self, params: Params) -> Iterator[Event]:
        if text(params, "status") == "failed":
            name, why = text(params, "name"), text(params, "error")
            yield Notice(message=f"the MCP server {name!r} did not start: {why}", level="warning")


_COUNTS: Final = (
    "inputTokens",
    "cachedInputTokens",
    "cacheWriteInputTokens",
    "outputTokens",
    "reasoningOutputTokens",
)


def retrying(message: str, details: str = "") -> Retrying:
    """Return what codex says when it tries again, as in ``Reconnecting... 2/5``."""
    attempt = _ATTEMPT.search(message)
    return Retrying(
        reason=details or message,
        attempt=int(attempt[1]) if attempt else 0,
        max_attempts=int(attempt[2]) if attempt else 0,
    )


def unreadable(line: bytes) -> VendorEvent:
    """Keep a line that is not a message."""
    return VendorEvent(kind="unreadable", raw=line.decode(errors="replace"))
