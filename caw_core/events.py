"""Events: what happens in a turn, one value each, in order.

A provider yields them; everything else in caw is made from them. Only `TurnEnded` must come, and
it is optional for the provider: a generator that simply returns has ended its turn normally.
Text may come as deltas, as whole pieces, or as deltas followed by the whole piece, which is then
the truth: all three fold to the same turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs

from caw_core.blocks import JSON, frozen_extra
from caw_core.trajectory import ErrorInfo, PlanEntry, StopReason, TurnStatus
from caw_core.usage import UsageStats

ChangeCause = Literal["not_ready", "cannot_start", "not_logged_in", "limited", "handoff"]


@attrs.frozen(kw_only=True)
class Event:
    """Base of all events; ``type`` is the tag in the serialised form."""

    tag: ClassVar[str] = ""

    @property
    def type(self) -> str:
        """The event's tag, such as ``"text_delta"``."""
        return self.tag


@attrs.frozen(kw_only=True)
class TurnStarted(Event):
    """The first event of each turn; made by the core.

    It comes again, with another index, if the agent had begun a turn of its own before it took
    this one's prompt up.
    """

    tag: ClassVar[str] = "turn_started"
    index: int
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class TextDelta(Event):
    """More of a text; pieces of one ``block_id`` belong together, ``""`` continues the last one."""

    tag: ClassVar[str] = "text_delta"
    text: str
    block_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class TextDone(Event):
    """A text is complete; it replaces what deltas of the same ``block_id`` said before."""

    tag: ClassVar[str] = "text_done"
    text: str
    block_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ThinkingDelta(Event):
    """More of the agent's reasoning."""

    tag: ClassVar[str] = "thinking_delta"
    text: str
    block_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ThinkingDone(Event):
    """A piece of reasoning is complete; it replaces its deltas."""

    tag: ClassVar[str] = "thinking_done"
    text: str
    block_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ImageDone(Event):
    """The agent made an image; see `caw_core.blocks.ImageBlock` for the fields."""

    tag: ClassVar[str] = "image_done"
    mime_type: str
    data: str = attrs.field(default="", repr=False)
    uri: str = ""
    block_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ToolStarted(Event):
    """The agent calls a tool. ``arguments`` may be empty if they follow in `ToolArguments`."""

    tag: ClassVar[str] = "tool_started"
    call_id: str
    name: str
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ToolArguments(Event):
    """More of the call's arguments, as the JSON text that the model writes."""

    tag: ClassVar[str] = "tool_arguments"
    call_id: str
    delta: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ToolOutput(Event):
    """More of what the tool prints while it runs."""

    tag: ClassVar[str] = "tool_output"
    call_id: str
    delta: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ToolFinished(Event):
    """The call has its result; fields as in `caw_core.blocks.ToolUse`.

    ``output``, ``name`` and ``arguments`` replace what earlier events of the call said; None keeps
    it. ``status`` None means ``failed`` or ``completed``, as ``is_error`` says.
    """

    tag: ClassVar[str] = "tool_finished"
    call_id: str
    output: str | None = None
    is_error: bool = False
    status: Literal["completed", "failed", "declined"] | None = None
    content: tuple[JSON, ...] = ()
    name: str | None = None
    arguments: Mapping[str, JSON] | None = None
    duration_ms: int | None = None
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class FileChanged(Event):
    """The agent changed a file. ``diff`` is a unified diff, or the new text of an added file."""

    tag: ClassVar[str] = "file_changed"
    path: str
    kind: Literal["add", "update", "delete"]
    diff: str = ""
    call_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class PlanUpdated(Event):
    """The agent's plan as it is now, whole."""

    tag: ClassVar[str] = "plan_updated"
    entries: tuple[PlanEntry, ...]
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class UsageReported(Event):
    """What one model call used. The turn's usage is the sum, so report increments, not totals.

    Attributes:
        usage: the tokens, and the cost where the agent says it of the call.
        model: which model it was, where the agent says so.
        cost_follows: the agent says the cost of this call later, in that of the next report that
            has one; see `caw_core.usage.UsageTally`.
    """

    tag: ClassVar[str] = "usage_reported"
    usage: UsageStats
    model: str = ""
    cost_follows: bool = False
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Retrying(Event):
    """The agent met an error and tries again by itself.

    Attributes:
        reason: what failed, in the agent's words.
        attempt: which attempt comes now, from 1; 0 if not said.
        max_attempts: how many there will be at most; 0 if not said.
        wait_seconds: how long it waits before; None if not said.
    """

    tag: ClassVar[str] = "retrying"
    reason: str
    attempt: int = 0
    max_attempts: int = 0
    wait_seconds: float | None = None
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Notice(Event):
    """Something that a person should know; it changes nothing. ``level`` is info or warning."""

    tag: ClassVar[str] = "notice"
    message: str
    level: Literal["info", "warning"] = "info"
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Progress(Event):
    """A piece of preparation goes on, e.g. a download; ``done`` of ``total`` in ``unit``."""

    tag: ClassVar[str] = "progress"
    label: str
    done: float
    total: float | None = None
    unit: str = "bytes"
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class PermissionAsked(Event):
    """The agent asks whether it may do something; see `caw_core.permissions.PermissionRequest`."""

    tag: ClassVar[str] = "permission_asked"
    request_id: str
    tool: str
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    reason: str = ""
    call_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class PermissionSettled(Event):
    """The request has its answer; ``reason`` is what the agent was told."""

    tag: ClassVar[str] = "permission_settled"
    request_id: str
    allowed: bool
    always: bool = False
    reason: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Steered(Event):
    """A message was delivered into the running turn; made by the core."""

    tag: ClassVar[str] = "steered"
    text: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class SubagentEvent(Event):
    """Something happened in a subagent that a tool call of this turn runs; made by the core.

    Attributes:
        name: the subagent's, as its `caw_core.AgentSpec` has it.
        session_id: which one of that name; each call has a session of its own.
        call_id: the tool call that runs it, where the agent says which; ``""`` elsewhere.
        event: what happened there, a `SubagentEvent` again for a subagent of its own.
    """

    tag: ClassVar[str] = "subagent_event"
    name: str
    session_id: str
    event: Event
    call_id: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class StructuredDone(Event):
    """The agent's answer in the form that `caw_core.provider.Prompt.output_schema` asked for."""

    tag: ClassVar[str] = "structured_done"
    value: JSON
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Waiting(Event):
    """The turn waits for a usage limit to end; made by the core.

    Attributes:
        reason: what the service said.
        seconds: how long it waits.
        until: when it goes on, ISO 8601, UTC.
    """

    tag: ClassVar[str] = "waiting"
    reason: str
    seconds: float
    until: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ProviderChanged(Event):
    """The session goes on with another provider than was wanted first; made by the core.

    Attributes:
        from_provider: who was wanted, or had the conversation before.
        to_provider: who has it now.
        cause: ``not_ready``, ``cannot_start``, ``not_logged_in`` or ``limited`` where the next one
            of an order was taken before anything was done; ``handoff`` after `Session.handoff`.
        reason: the same in words.
    """

    tag: ClassVar[str] = "provider_changed"
    from_provider: str
    to_provider: str
    cause: ChangeCause
    reason: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class RawOutput(Event):
    """One line that the agent's program wrote, yielded only when the request has ``keep_raw``."""

    tag: ClassVar[str] = "raw_output"
    line: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class VendorEvent(Event):
    """Something that the agent said and caw has no word for, kept as it came."""

    tag: ClassVar[str] = "vendor"
    kind: str
    raw: JSON = None
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class TurnEnded(Event):
    """The last event of each turn, exactly one.

    A provider gives ``stop_reason`` alone (``cancelled`` makes the turn ``interrupted``) and
    raises a `caw_core.errors.ProviderError` for a failure; the core fills in the rest.
    """

    tag: ClassVar[str] = "turn_ended"
    stop_reason: StopReason | None = "end_turn"
    status: TurnStatus | None = None
    error: ErrorInfo | None = None
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class UnknownEvent(Event):
    """An event of a kind that this version does not know, read from a newer version's record."""

    raw: Mapping[str, JSON]

    @property
    def type(self) -> str:
        """The tag that the event came with."""
        return str(self.raw.get("type", ""))
