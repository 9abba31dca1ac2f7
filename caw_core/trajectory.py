"""The record of a session: `SessionInfo` (its head), `Turn` and `Trajectory` (head and turns)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import attrs

from caw_core.blocks import JSON, Block, TextBlock, ToolUse, frozen_extra
from caw_core.usage import UsageStats

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]
"""Why the agent stopped: the five of the Agent Client Protocol."""

TurnStatus = Literal["running", "completed", "interrupted", "failed", "unknown"]
"""``unknown``: the process died; effects may have happened, so caw never repeats the turn."""

TurnOrigin = Literal["user", "agent"]
"""Who began a turn: the user with a prompt, or the agent by itself."""

Support = Literal["native", "emulated", "unsupported"]


@attrs.frozen(kw_only=True)
class ErrorInfo:
    """What went wrong in a turn, as a value that can be stored.

    Attributes:
        type: the name of the error's class, such as ``"LimitError"``.
        message: its text, without secrets.
        data: its facts, such as ``{"kind": "usage", "resets_at": "2026-…"}``.
    """

    type: str
    message: str
    data: Mapping[str, JSON] = attrs.field(factory=dict)
    extra: Mapping[str, JSON] = frozen_extra()

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Describe *error* by its class, its text and those of its attributes that are plain."""
        facts: dict[str, JSON] = {}
        for name, value in vars(error).items():
            if name in _NOT_FACTS or name.startswith("_") or value in (None, ""):
                continue
            if isinstance(value, datetime):
                facts[name] = value.isoformat()
            elif isinstance(value, str | int | float | bool):
                facts[name] = value
        return cls(type=type(error).__name__, message=str(error), data=facts)


_NOT_FACTS = frozenset({"turn", "provider", "session_id", "stderr_tail"})


@attrs.frozen(kw_only=True)
class ResolvedOption:
    """How the provider treated one option that the caller gave.

    Attributes:
        name: the option, e.g. ``"system_prompt"``.
        support: ``native``, ``emulated`` or ``unsupported`` (it had no effect).
        how: for ``emulated`` and ``unsupported``, what that means here.
    """

    name: str
    support: Support
    how: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class PlanEntry:
    """One step of the agent's plan; ``status`` is ``pending``, ``in_progress`` or ``completed``."""

    text: str
    status: str = "pending"
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Turn:
    """One prompt, or an occasion of the agent's own, and all that it did until it stopped.

    Attributes:
        index: place in the session, from 0.
        input: the prompt's text; in a turn that the agent began, what set it off.
        origin: ``agent`` for a turn that it began by itself, e.g. when a task in the background
            had ended.
        output: the finished blocks, in order of their beginning.
        usage: what this turn alone used.
        duration_ms: wall time from prompt to end, in milliseconds.
        status: see `TurnStatus`.
        stop_reason: see `StopReason`; None while running, and where the turn failed.
        error: set when ``status`` is ``failed`` or ``unknown``.
        started_at: ISO 8601 with offset, UTC.
        model: the model that answered, where the agent says so.
        plan: the agent's last plan.
        attachments: what came with the prompt: kind, name, MIME type, size in bytes and SHA-256 of
            each; the contents are not part of the record.
        structured: the answer as a JSON value, where the prompt asked for one.
        options: how each option that the caller gave was treated.
        raw_output: the agent's own output line by line, kept only with ``keep_raw=True`` and never
            part of the stored document.
    """

    index: int
    input: str
    origin: TurnOrigin = "user"
    output: tuple[Block, ...] = ()
    usage: UsageStats = UsageStats()
    duration_ms: int = 0
    status: TurnStatus = "completed"
    stop_reason: StopReason | None = None
    error: ErrorInfo | None = None
    started_at: str = ""
    model: str = ""
    plan: tuple[PlanEntry, ...] = ()
    attachments: tuple[Mapping[str, JSON], ...] = ()
    structured: JSON = None
    options: tuple[ResolvedOption, ...] = ()
    extra: Mapping[str, JSON] = frozen_extra()
    raw_output: tuple[str, ...] = attrs.field(default=(), repr=False, eq=False)

    @property
    def result(self) -> str:
        """The agent's last words: the text of the last text block that is not empty, or ``""``."""
        for block in reversed(self.output):
            if isinstance(block, TextBlock) and block.text:
                return block.text
        return ""

    @property
    def text(self) -> str:
        """Everything that the agent wrote for the user, its text blocks parted by a blank line."""
        texts = (block.text for block in self.output if isinstance(block, TextBlock))
        return "\n\n".join(text for text in texts if text)

    @property
    def tool_calls(self) -> tuple[ToolUse, ...]:
        """The tool calls of this turn, in order."""
        return tuple(block for block in self.output if isinstance(block, ToolUse))

    @property
    def total_usage(self) -> UsageStats:
        """What this turn and the subagents that it called used, and theirs, each once."""
        children = (
            call.subagent_trajectory.total_usage
            for call in self.tool_calls
            if call.subagent_trajectory is not None
        )
        return sum(children, self.usage)

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as the JSON-ready document that storages keep."""
        from caw_core.serialize import turn_to_dict

        return turn_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, JSON]) -> Turn:
        """Read a turn from its document; raise `TrajectoryFormatError` if it is none."""
        from caw_core.serialize import turn_from_dict

        return turn_from_dict(data)


@attrs.frozen(kw_only=True)
class SessionInfo:
    """The head of a session's record: everything but the turns.

    Attributes:
        session_id: caw's own id; see `caw_core.handles.check_session_id` for its form.
        provider: the provider's canonical name.
        model: the model that was asked for, ``""`` for the agent's default.
        created_at: ISO 8601 with offset, UTC.
        completed_at: when the session ended; ``""`` while it is open.
        system_prompt: the system prompt that was given.
        reasoning: the reasoning effort that was asked for.
        cwd: the folder in which the agent works, absolute.
        permissions: what the agent may do without asking.
        forked_from: the id of the session whose history this one began with, ``""`` for none.
        resume_key: what the agent needs to continue; a secret, so it is not part of ``repr``.
        metadata: the caller's own data, JSON-ready.
        tags: the caller's own words to find it by.
    """

    session_id: str
    provider: str
    model: str = ""
    created_at: str = ""
    completed_at: str = ""
    system_prompt: str = ""
    reasoning: str = ""
    cwd: str = ""
    permissions: str = ""
    forked_from: str = ""
    resume_key: str | None = attrs.field(default=None, repr=False)
    metadata: Mapping[str, JSON] = attrs.field(factory=dict)
    tags: tuple[str, ...] = ()
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class Trajectory(SessionInfo):
    """A session's whole record: the head and the turns. A value; it knows nothing of storages."""

    turns: tuple[Turn, ...] = ()

    @property
    def agent(self) -> str:
        """The provider's name, under the word that older scripts use."""
        return self.provider

    @property
    def num_turns(self) -> int:
        """How many turns there are."""
        return len(self.turns)

    @property
    def result(self) -> str:
        """The last turn's `Turn.result`, or ``""``."""
        return self.turns[-1].result if self.turns else ""

    @property
    def total_tool_calls(self) -> int:
        """How many tools were called in all turns."""
        return sum(len(turn.tool_calls) for turn in self.turns)

    @property
    def usage(self) -> UsageStats:
        """The sum of the turns' own usage, without that of subagents."""
        return sum((turn.usage for turn in self.turns), UsageStats())

    @property
    def total_usage(self) -> UsageStats:
        """The sum of the turns' `Turn.total_usage`: own and that of subagents, each once."""
        return sum((turn.total_usage for turn in self.turns), UsageStats())

    @property
    def subagent_trajectories(self) -> list[Trajectory]:
        """The records of the subagents that were called, in order, without those below them."""
        calls = (call for turn in self.turns for call in turn.tool_calls)
        return [call.subagent_trajectory for call in calls if call.subagent_trajectory is not None]

    @property
    def duration_ms(self) -> int:
        """The sum of the turns' wall times, in milliseconds."""
        return sum(turn.duration_ms for turn in self.turns)

    @property
    def is_complete(self) -> bool:
        """Whether the session was ended and its last turn came to its own end."""
        return bool(self.completed_at) and all(
            turn.status == "completed" for turn in self.turns[-1:]
        )

    @property
    def info(self) -> SessionInfo:
        """The head alone."""
        return SessionInfo(
            **{field.name: getattr(self, field.name) for field in attrs.fields(SessionInfo)},
        )

    @classmethod
    def of(cls, info: SessionInfo, turns: tuple[Turn, ...]) -> Trajectory:
        """Put a head and turns together."""
        head = {field.name: getattr(info, field.name) for field in attrs.fields(SessionInfo)}
        return cls(**head, turns=turns)

    def to_dict(self) -> dict[str, Any]:
        """Return the trajectory as a JSON-ready document of the current version."""
        from caw_core.serialize import trajectory_to_dict

        return trajectory_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, JSON]) -> Trajectory:
        """Read a document of any version; raise `TrajectoryError` if it cannot be read."""
        from caw_core.serialize import trajectory_from_dict

        return trajectory_from_dict(data)
