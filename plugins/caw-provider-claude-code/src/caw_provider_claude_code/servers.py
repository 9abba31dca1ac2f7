"""The caller's MCP servers, given to a running claude.

Over the control protocol, so that no secret of theirs stands in argv or on a disk. Their tools
are then called ``mcp__SERVER__TOOL`` (claude 2.1.197, observed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.blocks import JSON
from caw_core.json_fields import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caw_core.mcp import McpServer


def server_settings(servers: Iterable[McpServer]) -> dict[str, JSON]:
    """Return *servers* as claude's settings have them; they hold secrets."""
    return {server.name: _settings(server) for server in servers}


def failures(answer: dict[str, JSON]) -> list[str]:
    """Return a sentence for each server that did not come up."""
    errors = mapping(answer, "errors")
    return [f"the MCP server {name!r} did not start: {why}" for name, why in errors.items()]


def _settings(server: McpServer) -> dict[str, JSON]:
    settings: dict[str, JSON]
    if server.url:
        settings = {"type": "http", "url": server.url, "headers": dict(server.headers)}
    else:
        settings = {
            "type": "stdio",
            "command": server.command,
            "args": list(server.args),
            "env": dict(server.env),
        }
    if server.call_seconds is not None:
        settings["timeout"] = round(server.call_seconds * 1000)
    return settings
