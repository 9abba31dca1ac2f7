"""The values of the existing wrapper's API: plain, mutable, in the wrapper's own JSON layout.

`caw_core` has values of its own, which know more: what a turn's status is, which costs are
unknown. These are what scripts written for coding-agent-wrapper 0.1.9 hold in their hands, so
names, order of fields, defaults and documents are as that version has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

from caw_core.tools import ModelTier, ToolGroup

__all__ = [
    "AgentSpec",
    "ContentBlock",
    "InteractiveResult",
    "MCPServer",
    "MCPTool",
    "ModelTier",
    "TextBlock",
    "ThinkingBlock",
    "ToolGroup",
    "ToolUse",
    "Trajectory",
    "Turn",
    "UsageStats",
]

_JSON: TypeAlias = dict[str, Any]


@dataclass
class MCPServer:
    """A tool server: a program (``command``, ``args``, ``env``) or an address (``url``).

    ``headers`` are sent to an address with each request. They are a secret and never written.
    """

    name: str
    command: str = ""
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def to_dict(self) -> _JSON:
        """Return the JSON document."""
        return {
            "name": self.name,
            "command": self.command,
            "args": self.args,
            "env": self.env,
            "url": self.url,
        }


@dataclass
class MCPTool:
    """What a tool server says of one of its tools."""

    name: str
    description: str = ""
    server: str = ""
    input_schema: _JSON = field(default_factory=dict)


@dataclass
class AgentSpec:
    """A subagent, or a snapshot of an agent's settings; see `caw.Agent.get_spec`."""

    name: str = ""
    description: str = ""
    system_prompt: str = ""
    model: str | ModelTier = ""
    reasoning: str = ""
    tools: ToolGroup | None = None
    tool_servers: list[Any] = field(default_factory=list)
    mcp_servers: list[MCPServer] = field(default_factory=list)
    subagents: list[AgentSpec] = field(default_factory=list)
    metadata: _JSON = field(default_factory=dict)


@dataclass
class TextBlock:
    """Text that the agent wrote."""

    text: str


@dataclass
class ThinkingBlock:
    """Reasoning that the agent let us see."""

    text: str


@dataclass
class ToolUse:
    """A tool call together with its result."""

    id: str
    name: str
    arguments: _JSON = field(default_factory=dict)
    output: str = ""
    is_error: bool = False
    subagent_trajectory: Trajectory | None = None


ContentBlock: TypeAlias = TextBlock | ThinkingBlock | ToolUse


@dataclass
class UsageStats:
    """Tokens and US dollars; a cost that nobody knows is 0, as it was in the wrapper.

    `caw_core.UsageStats` tells the two apart.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens, without those of the cache."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: UsageStats) -> UsageStats:
        """Return the sum, member by member."""
        mine, theirs = asdict(self), asdict(other)
        return UsageStats(**{name: mine[name] + theirs[name] for name in mine})

    def to_dict(self) -> _JSON:
        """Return the JSON document."""
        return asdict(self)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> UsageStats:
        """Read a document; a member that is missing or null is 0."""
        return cls(**{item.name: d[item.name] for item in fields(cls) if d.get(item.name)})


@dataclass
class Turn:
    """One prompt and what the agent did."""

    input: str
    output: list[ContentBlock] = field(default_factory=list)
    usage: UsageStats = field(default_factory=UsageStats)
    duration_ms: int = 0

    @property
    def result(self) -> str:
        """The last text block that is not empty, or ``""``."""
        texts = (block.text for block in reversed(self.output) if isinstance(block, TextBlock))
        return next(filter(None, texts), "")

    @property
    def tool_calls(self) -> list[ToolUse]:
        """The tool calls, in order."""
        return [block for block in self.output if isinstance(block, ToolUse)]

    def to_dict(self) -> _JSON:
        """Return the JSON document."""
        return {
            "input": self.input,
            "output": [_block_to_dict(block) for block in self.output],
            "usage": self.usage.to_dict(),
            "duration_ms": self.duration_ms,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Turn:
        """Read a document; members that are missing take their defaults."""
        return cls(
            input=d.get("input", ""),
            output=[block for item in d.get("output", []) if (block := _block_from_dict(item))],
            usage=UsageStats.from_dict(d.get("usage") or {}),
            duration_ms=d.get("duration_ms", 0),
        )


@dataclass
class Trajectory:
    """The record of a session; ``usage`` is the agent's own, without that of subagents."""

    agent: str
    model: str = ""
    session_id: str = ""
    created_at: str = ""
    completed_at: str = ""
    usage_limited: bool = False
    system_prompt: str = ""
    reasoning: str = ""
    mcp_servers: list[MCPServer] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    usage: UsageStats = field(default_factory=UsageStats)
    duration_ms: int = 0
    metadata: _JSON = field(default_factory=dict)

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
    def total_usage(self) -> UsageStats:
        """The usage with that of all subagents."""
        return sum((nested.total_usage for nested in self.subagent_trajectories), self.usage)

    @property
    def subagent_trajectories(self) -> list[Trajectory]:
        """The records of subagents, in the order of the calls that began them."""
        return [nested for turn in self.turns for nested in nested_in(turn)]

    @property
    def is_usage_limited(self) -> bool:
        """Whether the last turn ended at a usage limit; known once the session has ended."""
        return self.usage_limited

    @property
    def is_complete(self) -> bool:
        """Whether the session was ended, and not by a usage limit."""
        return bool(self.completed_at) and not self.usage_limited

    def to_dict(self) -> _JSON:
        """Return the JSON document, the layout of ``trajectory.json``."""
        head, foot = document_ends(self, self.total_usage)
        return {**head, "turns": [turn.to_dict() for turn in self.turns], **foot}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Trajectory:
        """Read a document, the wrapper's or one that caw-core wrote."""
        plain = {
            item.name: d[item.name]
            for item in fields(cls)
            if item.name in d and item.name not in ("mcp_servers", "turns", "usage")
        }
        return cls(
            **{"agent": "", **plain},
            mcp_servers=[server_from(server) for server in d.get("mcp_servers", [])],
            turns=[Turn.from_dict(turn) for turn in d.get("turns", [])],
            usage=UsageStats.from_dict(d.get("usage") or {}),
        )


@dataclass
class InteractiveResult:
    """How an interactive session ended, and the terminal's output.

    ``session_id`` and ``resume_handle`` are there for all agents that left a conversation.
    """

    exit_code: int
    output: str = ""
    session_id: str | None = None
    resume_handle: str | None = field(default=None, repr=False)


def nested_in(turn: Turn) -> Iterator[Trajectory]:
    """Yield the records of the subagents that a turn called."""
    for call in turn.tool_calls:
        if call.subagent_trajectory is not None:
            yield call.subagent_trajectory


def document_ends(trajectory: Trajectory, total_usage: UsageStats) -> tuple[_JSON, _JSON]:
    """Return what stands before the turns in a trajectory's document, and what after them.

    Args:
        trajectory: its turns are not looked at.
        total_usage: its usage with that of subagents.
    """
    document = {
        item.name: getattr(trajectory, item.name)
        for item in fields(Trajectory)
        if item.name not in ("turns", "usage", "duration_ms", "metadata")
    }
    document["mcp_servers"] = [server.to_dict() for server in trajectory.mcp_servers]
    return document, {
        "usage": trajectory.usage.to_dict(),
        "total_usage": total_usage.to_dict(),
        "duration_ms": trajectory.duration_ms,
        "metadata": trajectory.metadata,
    }


def server_from(d: Mapping[str, Any]) -> MCPServer:
    """Read a tool server's document; members that are missing take their defaults."""
    known = {item.name: d[item.name] for item in fields(MCPServer) if item.name in d}
    return MCPServer(**{"name": "", **known})


def _block_to_dict(block: ContentBlock) -> _JSON:
    if isinstance(block, ToolUse):
        document: _JSON = {
            "type": "tool_use",
            "id": block.id,
            "name": block.name,
            "arguments": block.arguments,
            "output": block.output,
        }
        if block.is_error:
            document["is_error"] = True
        if block.subagent_trajectory is not None:
            document["subagent_trajectory"] = block.subagent_trajectory.to_dict()
        return document
    return {"type": "text" if isinstance(block, TextBlock) else "thinking", "text": block.text}


def _block_from_dict(d: Mapping[str, Any]) -> ContentBlock | None:
    kind = d.get("type", "tool_use")
    if kind == "text":
        return TextBlock(d.get("text", ""))
    if kind == "thinking":
        return ThinkingBlock(d.get("text", ""))
    if kind != "tool_use":
        # caw-core's records have blocks that the wrapper had no word for, such as images.
        return None
    nested = d.get("subagent_trajectory")
    return ToolUse(
        id=d.get("id", ""),
        name=d.get("name", ""),
        arguments=d.get("arguments", {}),
        output=d.get("output", ""),
        is_error=d.get("is_error", False),
        subagent_trajectory=Trajectory.from_dict(nested) if nested else None,
    )
