"""What the agent may do: the flags that claude is started with, and the answers that it gets.

That ``--tools`` is an allow-list of what the model is offered, and what each mode lets through,
was observed with claude 2.1.197 and 2.1.329.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from caw_core.errors import ConfigError
from caw_provider_claude_code.fields import text
from caw_provider_claude_code.tools import tool_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.blocks import JSON
    from caw_core.provider import Permissions
    from caw_provider_claude_code.control import Ask

HOW: Final = (
    "read-only: claude offers the model nothing but reading, searching and its task list in cwd, "
    "and no MCP servers; ask: its default mode, what it asks for is denied; auto-edit: it may "
    "change files in cwd, any other command is denied; full: nothing is asked. Rules in the "
    "settings files that claude reads (option settings_sources) hold as well."
)

_READING_TOOLS: Final = (
    "Read",
    "Glob",
    "Grep",
    "LS",
    "NotebookRead",
    "TodoWrite",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskUpdate",
)
_DIALOGUES: Final = ("AskUserQuestion", "EnterPlanMode", "ExitPlanMode")
"""Tools that wait for a person; without one the agent would stay in plan mode for ever."""

_DENIAL: Final = (
    "Permission to use this tool was not given, and nobody can be asked. Do not try to reach the "
    "same by other means; go on without it, or say what you would need."
)


def permission_flags(permissions: Permissions, env: Mapping[str, str]) -> list[str]:
    """Return claude's flags for *permissions*.

    Args:
        permissions: what the agent may do.
        env: the environment in which claude will run.

    Raises:
        ConfigError: claude would refuse to start with them.
    """
    flags = ["--permission-prompt-tool=stdio", f"--disallowedTools={','.join(_DIALOGUES)}"]
    match permissions:
        case "read-only":
            tools = f"--tools={','.join(_READING_TOOLS)}"
            return [*flags, "--permission-mode=default", tools, "--strict-mcp-config"]
        case "ask":
            return [*flags, "--permission-mode=default"]
        case "auto-edit":
            return [*flags, "--permission-mode=acceptEdits"]
        case "full":
            _check_root(env)
            return [*flags, "--dangerously-skip-permissions"]


def answer(ask: Ask) -> str:
    """Answer a request of claude's where nobody can be asked: no.

    Returns:
        What was denied, for a notice; ``""`` if it was no matter of permission.
    """
    match ask.subtype:
        case "can_use_tool":
            ask.answer({"behavior": "deny", "message": _DENIAL})
            return _describe(ask.request)
        case "hook_callback":
            ask.answer({})
        case subtype:
            ask.refuse(f"this client does not know {subtype!r}")
    return ""


def _check_root(env: Mapping[str, str]) -> None:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and not (env.get("IS_SANDBOX") or env.get("CLAUDE_CODE_BUBBLEWRAP")):
        msg = (
            "claude refuses permissions='full' when root starts it. Run as another user, or, if "
            "this machine is a sandbox that may be destroyed, pass env={'IS_SANDBOX': '1'}."
        )
        raise ConfigError(msg)


def _describe(request: dict[str, JSON]) -> str:
    what = text(request, "description") or text(request, "decision_reason")
    name = tool_name(text(request, "tool_name"))
    return f"{name}: {what}" if what else name
