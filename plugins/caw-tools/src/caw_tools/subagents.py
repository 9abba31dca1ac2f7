"""Subagents as tools: a function for each, which runs it and returns its last words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mcp.types import CallToolResult

from caw_core.errors import SessionStateError
from caw_tools.context import ToolContext
from caw_tools.definition import tool
from caw_tools.results import failed

if TYPE_CHECKING:
    from caw_core.agent_spec import AgentSpec

SUBAGENTS: Final = "subagents"
"""The server whose tools are a session's subagents."""

_AT_ONCE: Final = {"readOnlyHint": True}
"""Claude Code and Codex run only such tools several at once (seen with 2.1.197 and 0.169.0). The
call itself changes nothing: what the subagent does is subject to permissions of its own, which are
never wider than those of whoever calls it."""


def subagent_tool(spec: AgentSpec) -> Callable[..., str | CallToolResult]:
    """Return the tool that runs a subagent."""

    def run(prompt: str, ctx: ToolContext) -> str | CallToolResult:
        """Have it do a task.

        Args:
            prompt: the whole task: it sees nothing of this conversation.
            ctx: the call.
        """
        subagents = ctx.scope.subagents if ctx.scope is not None else None
        if subagents is None:
            msg = "subagents run in sessions alone"
            raise SessionStateError(msg)
        child = subagents.child(spec.name, call_id=ctx.call_id, arguments=ctx.arguments)
        ctx.on_cancel(child.stop)
        answer = child.run(prompt, lambda message: ctx.progress(message=message))
        return failed(answer.text) if answer.is_error else answer.text

    about = spec.description or f"Have the agent {spec.name} do a task, and get its answer."
    return tool(spec.name, description=about, annotations=_AT_ONCE, structured_output=False)(run)
