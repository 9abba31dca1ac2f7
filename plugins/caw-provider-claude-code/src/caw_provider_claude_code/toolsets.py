"""Claude's own tools: which kinds of tools each belongs to, and what asking for it means.

The names are those that claude 2.1.197 offers to the model, and older ones that a different
version still may. A tool that stands nowhere here is not offered where kinds were asked for,
since ``--tools`` is an allow-list; that it holds for subagents too was observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.tools import ToolGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.permissions import PermissionKind

QUESTIONS: Final = ("AskUserQuestion", "EnterPlanMode", "ExitPlanMode")
"""Tools that wait for a person; without one the agent would stay in plan mode for ever."""

_TASK_LIST: Final = ("TodoWrite", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate")
_BACKGROUND: Final = ("TaskOutput", "TaskStop")

TOOLS: Final[Mapping[ToolGroup, tuple[str, ...]]] = {
    # The task list is the agent's own note of what it plans, so it comes with everything that
    # reads.
    ToolGroup.READER: ("Read", "Glob", "Grep", "LS", "NotebookRead", *_TASK_LIST),
    ToolGroup.WRITER: ("Write", "Edit", "MultiEdit", "NotebookEdit"),
    # A skill may run commands while it is loaded; a worktree is made by running git.
    ToolGroup.EXEC: (
        "Bash",
        "BashOutput",
        "KillShell",
        "Skill",
        "EnterWorktree",
        "ExitWorktree",
        *_BACKGROUND,
    ),
    ToolGroup.WEB: ("WebFetch", "WebSearch"),
    ToolGroup.PARALLEL: (
        "Agent",
        "Task",
        "SendMessage",
        "Workflow",
        "CronCreate",
        "CronDelete",
        "CronList",
        "ScheduleWakeup",
        *_BACKGROUND,
    ),
    ToolGroup.INTERACTION: (*QUESTIONS, "ReportFindings"),
}

_KINDS: Final[Mapping[ToolGroup, PermissionKind]] = {
    ToolGroup.READER: "read",
    ToolGroup.WRITER: "edit",
    ToolGroup.EXEC: "exec",
    ToolGroup.WEB: "web",
}


def offered(groups: ToolGroup) -> list[str]:
    """Return the names of the tools of *groups*."""
    names = [name for group, members in TOOLS.items() if group in groups for name in members]
    return list(dict.fromkeys(names))


def kind_of(tool: str) -> PermissionKind:
    """Say what sort of thing a request for *tool* is about."""
    if tool in QUESTIONS:
        return "question"
    if tool.startswith("mcp__"):
        return "mcp"
    kinds = (kind for group, kind in _KINDS.items() if tool in TOOLS[group])
    return next(kinds, "other")
