"""From caw-core's values to the wrapper's.

What the wrapper has no word for is left out: a turn's status and error, images, messages that were
said into a running turn. They are in caw-core's record, which is kept besides.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

from caw.models import (
    ContentBlock,
    MCPServer,
    TextBlock,
    ThinkingBlock,
    ToolUse,
    Trajectory,
    Turn,
    UsageStats,
    server_from,
)
from caw_core import blocks
from caw_core.mcp import McpServer
from caw_core.usage import UsageStats as CoreUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caw_core import trajectory as core

_REDACTED: Final = "***"

RESUME_KEYS: Final = {"codex": "thread_id", "opencode": "opencode_session_id"}
"""Where the wrapper's records keep what resumes a session; claude's key is the session's id."""


def usage_of(usage: CoreUsage) -> UsageStats:
    """Return a usage; an unknown cost becomes 0."""
    return UsageStats(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=usage.cost_usd or 0.0,
    )


def turn_of(turn: core.Turn) -> Turn:
    """Return a turn."""
    found = (_block_of(block) for block in turn.output)
    return Turn(
        input=turn.input,
        output=[block for block in found if block is not None],
        usage=usage_of(turn.usage),
        duration_ms=turn.duration_ms,
    )


class Sums:
    """What the turns of a session come to; each is added once, when it has ended."""

    def __init__(self) -> None:
        self.num_turns = 0
        self.usage = CoreUsage()
        self.total_usage = CoreUsage()
        self.duration_ms = 0
        self.model = ""
        self.limited = False

    def add(self, turns: Iterable[core.Turn]) -> Sums:
        """Add turns, in their order; return this object."""
        for turn in turns:
            self.num_turns += 1
            self.usage += turn.usage
            self.total_usage += turn.total_usage
            self.duration_ms += turn.duration_ms
            self.model = turn.model or self.model
            error = turn.error
            self.limited = (
                error is not None
                and error.type == "LimitError"
                and error.data.get("kind") == "usage"
            )
        return self


def trajectory_of(record: core.Trajectory) -> Trajectory:
    """Return a whole record."""
    trajectory = head_of(record, Sums().add(record.turns))
    trajectory.turns = [turn_of(turn) for turn in record.turns]
    return trajectory


def head_of(info: core.SessionInfo, sums: Sums) -> Trajectory:
    """Return a record without its turns: its head, and what they come to."""
    metadata = copy.deepcopy(dict(info.metadata))
    key_name = RESUME_KEYS.get(info.provider)
    if key_name and info.resume_key:
        metadata = {key_name: info.resume_key, **metadata}
    return Trajectory(
        agent=info.provider,
        model=info.model or sums.model,
        session_id=info.session_id,
        created_at=info.created_at,
        completed_at=info.completed_at,
        usage_limited=bool(info.completed_at) and sums.limited,
        system_prompt=info.system_prompt,
        reasoning=info.reasoning,
        # As a record of the wrapper has them; ours has none, see `caw.session`.
        mcp_servers=[server_from(server) for server in info.extra.get("mcp_servers") or ()],
        usage=usage_of(sums.usage),
        duration_ms=sums.duration_ms,
        metadata=metadata,
    )


def shown_server(server: MCPServer) -> MCPServer:
    """Return a tool server as records show it: without the values of its environment."""
    return MCPServer(
        name=server.name,
        command=server.command,
        args=list(server.args),
        env=dict.fromkeys(server.env, _REDACTED),
        url=server.url,
    )


def core_server(server: MCPServer | McpServer) -> McpServer:
    """Return a tool server as caw-core takes it; one with an address has no command there."""
    if isinstance(server, McpServer):
        return server
    if server.url:
        return McpServer(name=server.name, url=server.url, headers=dict(server.headers))
    return McpServer(
        name=server.name, command=server.command, args=tuple(server.args), env=dict(server.env)
    )


def _block_of(block: blocks.Block) -> ContentBlock | None:
    if isinstance(block, blocks.TextBlock):
        return TextBlock(block.text)
    if isinstance(block, blocks.ThinkingBlock):
        return ThinkingBlock(block.text)
    if isinstance(block, blocks.ToolUse):
        return ToolUse(
            id=block.id,
            name=block.name,
            arguments=copy.deepcopy(dict(block.arguments)),
            output=block.output,
            is_error=block.is_error,
            subagent_trajectory=_nested(block),
        )
    return None


def _nested(call: blocks.ToolUse) -> Trajectory | None:
    nested = call.subagent_trajectory
    return trajectory_of(nested) if nested is not None else None
