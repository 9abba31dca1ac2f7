"""The tool servers (MCP) that a caller gives: connecting them, and the names of their tools.

opencode connects tool servers per folder, for all sessions in it. So sessions with other servers
run in another process (see `caw_provider_opencode.server.Launch`), and what is here is the same for
everybody who shares one. The settings go over HTTP: the environment of the process is also that of
the commands that the agent runs.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, text
from caw_provider_opencode.client import route

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from caw_core.blocks import JSON
    from caw_core.mcp import McpServer
    from caw_provider_opencode.client import Client

Given = tuple[tuple[str, str], ...]
"""Names and settings (JSON), in a form that can be compared and hashed; it holds secrets."""


def given(servers: Iterable[McpServer]) -> Given:
    """Return the servers' settings as opencode's schema has them (``McpLocalConfig``, 1.18.33)."""
    return tuple(sorted((server.name, json.dumps(_config(server))) for server in servers))


_TRIES: Final = 3
"""opencode 1.18.33 now and then fails with a server that closes the connection after an answer."""


class ToolServers:
    """Connects the same tool servers in each folder, once.

    Args:
        servers: their settings.
    """

    def __init__(self, servers: Given) -> None:
        self._servers = servers
        self._lock = threading.Lock()
        self._told: dict[str, list[str]] = {}

    def connect(self, client: Client, directory: str, timeout: float | None) -> Sequence[str]:
        """Connect the servers in a folder, unless that was done before.

        Args:
            client: makes requests to opencode.
            directory: the folder.
            timeout: how many seconds each server may take.

        Returns:
            What a person should know of those that did not start.

        Raises:
            OSError: opencode could not be reached.
            ProtocolError: its answer is no JSON.
        """
        with self._lock:
            if directory not in self._told:
                self._told[directory] = [
                    notice
                    for name, config in self._servers
                    if (notice := _connect(client, directory, name, config, timeout))
                ]
            return self._told[directory]


def display_name(tool: str, servers: Iterable[str]) -> str:
    """Return a tool's name as ``server.tool``, if it belongs to one of *servers*."""
    for name in sorted(servers, key=len, reverse=True):
        if tool.startswith(f"{name}_"):
            return f"{name}.{tool[len(name) + 1 :]}"
    return tool


def _connect(
    client: Client, directory: str, name: str, config: str, timeout: float | None
) -> str | None:
    body = {"name": name, "config": json.loads(config)}
    for _ in range(1 if "command" in body["config"] else _TRIES):
        answer = client.call("POST", route("mcp", directory=directory), body, timeout=timeout)
        state = mapping(answer.data, name) if answer.ok else {}
        if text(state, "status") == "connected":
            return None
    reason = text(state, "error") or text(state, "status") or answer.message
    for secret in _secrets(body["config"]):
        reason = reason.replace(secret, "…")
    return f"the tool server {name!r} did not start: {reason}"


def _config(server: McpServer) -> dict[str, JSON]:
    config: dict[str, JSON]
    if server.command:
        config = {
            "type": "local",
            "command": [server.command, *server.args],
            "environment": dict(server.env),
        }
    else:
        # Without a person, a login in a browser would wait for ever.
        login = {"oauth": False}
        config = {"type": "remote", "url": server.url, "headers": dict(server.headers), **login}
    if server.call_seconds is not None:
        config["timeout"] = round(server.call_seconds * 1000)
    return config


def _secrets(config: JSON) -> list[str]:
    values = {**mapping(config, "environment"), **mapping(config, "headers")}.values()
    return [value for value in values if isinstance(value, str) and value]
