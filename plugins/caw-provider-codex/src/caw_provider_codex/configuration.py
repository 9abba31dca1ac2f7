"""The keys of ``config.toml`` for one conversation, from everything that was asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from caw_provider_codex.toolset import tool_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caw_core.blocks import JSON
    from caw_core.mcp import McpServer
    from caw_core.provider import Permissions, StartRequest

MARK: Final = "CAW_CODEX_CONVERSATION"
"""The variable by which a conversation's commands are known, also those that left their group.

codex ends the group of a command; a program that made a session of its own is not in it.
"""


def thread_config(request: StartRequest, mark: str) -> dict[str, JSON]:
    """Return the configuration as one nested object; caw's own keys win over the option's.

    codex takes dotted keys too, but an object beside them replaces what they set, in an order
    that varies from run to run (observed with 0.169.0), so none are left.

    Args:
        request: what was asked for.
        mark: what the conversation's commands carry in `MARK`. ``""``
            where the whole process is the conversation's.

    Raises:
        UnsupportedError: the tools that were asked for cannot be had.
    """
    # codex 0.169.0 knows the tool for plans, but offers it only when it is told to.
    config: dict[str, JSON] = {"tools": {"update_plan": {"enabled": True}}}
    for name, value in (request.options.get("config") or {}).items():
        _put(config, name, value)
    for name, value in tool_settings(request.tools).items():
        _put(config, name, value)
    if mark:
        _put(config, "shell_environment_policy.set", {MARK: mark})
    for server in request.mcp_servers:
        _put(config, "mcp_servers", {server.name: server_settings(server, request.permissions)})
    trusted = [server.name for server in request.mcp_servers if server.trusted]
    if trusted:
        _offer_at_once(config, trusted)
    return config


def server_settings(server: McpServer, permissions: Permissions) -> dict[str, JSON]:
    """Return an MCP server as codex's configuration has it.

    Where the permissions have nobody asked, the caller's giving the server is the yes to its
    tools: codex would refuse them all otherwise. Under ``read-only`` it may refuse, unless the
    caller trusts the server.
    """
    settings: dict[str, JSON]
    if server.url:
        settings = {"url": server.url, "http_headers": dict(server.headers)}
    else:
        settings = {
            "command": server.command,
            "args": list(server.args),
            "env": dict(server.env),
        }
    if server.trusted or permissions in ("auto-edit", "full"):
        settings["default_tools_approval_mode"] = "approve"
    if server.call_seconds is not None:
        settings["tool_timeout_sec"] = server.call_seconds
    return settings


def _offer_at_once(config: dict[str, JSON], servers: Iterable[str]) -> None:
    """Have the model offered the tools of *servers* from the start.

    codex 0.169.0 has the model search for the tools of servers before it offers them. The setting
    is of June 2026, https://github.com/openai/codex/pull/28825.
    """
    features = config.get("features")
    mode = features.get("code_mode") if isinstance(features, dict) else None
    # The option may hold the feature's short form.
    settings = mode if isinstance(mode, dict) else {} if mode is None else {"enabled": mode}
    listed = settings.get("direct_only_tool_namespaces")
    names = listed if isinstance(listed, list) else []
    ours = [f"mcp__{re.sub(r'[^A-Za-z0-9_]', '_', name)}" for name in servers]
    _put(config, "features.code_mode", {**settings, "direct_only_tool_namespaces": [*names, *ours]})


def _put(config: dict[str, JSON], dotted: str, value: JSON) -> None:
    *path, last = dotted.split(".")
    table = config
    for name in path:
        inner = table.get(name)
        table[name] = table = dict(inner) if isinstance(inner, dict) else {}
    table[last] = _merged(table.get(last), value)


def _merged(old: JSON, new: JSON) -> JSON:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged: Mapping[str, JSON] = {
        name: _merged(old.get(name), new[name]) if name in new else old[name]
        for name in [*old, *(name for name in new if name not in old)]
    }
    return dict(merged)
