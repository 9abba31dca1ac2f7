"""Records without their secrets: what is printed ends up in logs and bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_MEMBERS = frozenset({"resume_key", "thread_id", "opencode_session_id"})
"""Where the existing wrapper (coding-agent-wrapper 0.1.9, ``providers/codex.py`` and
``providers/opencode.py``) put its resume keys in a record's metadata."""

_SECRET_MAPPINGS = ("env", "headers")
_MASK = "…"


def published(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the document of a trajectory, a head or a turn without its secrets.

    Resume keys are left out; of the ``env`` and ``headers`` of tool servers only the names stay.
    The same is done to trajectories of subagents, which stand at tool calls.
    """
    key = document.get("resume_key")
    return {
        name: _member(name, value, key) for name, value in document.items() if name != "resume_key"
    }


def _member(name: str, value: Any, key: Any) -> Any:
    if name == "metadata" and isinstance(value, dict):
        return {
            member: each
            for member, each in value.items()
            if member not in _KEY_MEMBERS and (key is None or each != key)
        }
    if name == "mcp_servers" and isinstance(value, list):
        return [_server(each) for each in value]
    if name in {"turns", "output"} and isinstance(value, list):
        return [published(each) if isinstance(each, dict) else each for each in value]
    if name == "subagent_trajectory" and isinstance(value, dict):
        return published(value)
    return value


def _server(server: Any) -> Any:
    if not isinstance(server, dict):
        return server
    masked = {
        name: dict.fromkeys(server[name], _MASK) if isinstance(server[name], dict) else _MASK
        for name in _SECRET_MAPPINGS
        if server.get(name)
    }
    return {**server, **masked}
