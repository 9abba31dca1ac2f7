"""What the agent may do: the flags that claude is started with.

That ``--tools`` is an allow-list of what the model is offered, and what each mode lets through,
was observed with claude 2.1.197 and 2.1.329.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.tools import ToolGroup
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.toolsets import QUESTIONS, offered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.provider import Permissions, StartRequest

HOW: Final = (
    "read-only: claude offers the model nothing but reading, searching and its task list in cwd, "
    "and no MCP servers but trusted ones; ask: its default mode, what it asks for is brought to "
    "on_permission, without which the answer is no; auto-edit: it may change files in cwd, all "
    "else is asked for like that; full: nothing is asked. Rules in the settings files that claude "
    "reads (option settings_sources) hold as well. Claude has no sandbox of its own for commands. "
    "'Always' holds until claude is started again."
)

_MODES: Final[Mapping[Permissions, str]] = {
    "read-only": "--permission-mode=default",
    "ask": "--permission-mode=default",
    "auto-edit": "--permission-mode=acceptEdits",
    "full": "--dangerously-skip-permissions",
}


def permission_flags(
    request: StartRequest, env: Mapping[str, str], *, answers: bool, present: bool = False
) -> list[str]:
    """Return claude's flags for what the agent may do and which tools it has.

    Args:
        request: what was asked for.
        env: the environment in which claude will run.
        answers: whether claude can bring us its requests.
        present: whether it asks the user itself, in its own interface.

    Raises:
        ConfigError: claude would refuse to start with them.
        UnsupportedError: MCP servers are wanted where nothing that acts is allowed, and are not
            trusted.
    """
    if request.permissions == "full":
        _check_root(env)
    flags = [_MODES[request.permissions]]
    if answers:
        flags.append("--permission-prompt-tool=stdio")
    trusted = [f"mcp__{server.name}" for server in request.mcp_servers if server.trusted]
    if trusted:
        flags.append(f"--allowedTools={','.join(trusted)}")
    asks = present or (answers and request.permission_desk.attended)
    groups = request.tools
    if request.permissions == "read-only":
        if not all(server.trusted for server in request.mcp_servers):
            msg = (
                "MCP servers may do anything, so claude takes none with permissions='read-only' "
                "that is not trusted: McpServer(trusted=True)"
            )
            raise UnsupportedError(msg, provider=NAME, options=("mcp_servers",))
        wanted = ToolGroup.READER | ToolGroup.INTERACTION if groups is None else groups
        names = offered(wanted & ToolGroup.READER)
        if asks and ToolGroup.INTERACTION in wanted:
            names.append("AskUserQuestion")
        return [*flags, f"--tools={','.join(names)}", "--strict-mcp-config"]
    if groups is not None:
        names = [name for name in offered(groups) if asks or name not in QUESTIONS]
        # Servers from settings files would bring tools of any kind.
        return [*flags, f"--tools={','.join(names)}", "--strict-mcp-config"]
    return flags if asks else [*flags, f"--disallowedTools={','.join(QUESTIONS)}"]


def _check_root(env: Mapping[str, str]) -> None:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and not (env.get("IS_SANDBOX") or env.get("CLAUDE_CODE_BUBBLEWRAP")):
        msg = (
            "claude refuses permissions='full' when root starts it. Run as another user, or, if "
            "this machine is a sandbox that may be destroyed, pass env={'IS_SANDBOX': '1'}."
        )
        raise ConfigError(msg)
