"""The API of coding-agent-wrapper 0.1.9 (``import caw``), on caw-core.

    from caw import Agent

    with Agent(provider="codex").start_session() as session:
        print(session.send("Fix the failing test").result)

docs/how-to/migrate.md names each public name and where it went. New code imports `caw_core`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from caw.agent import (
        Agent,
        Session,
        get_provider_models,
        get_provider_order,
        installed_providers,
        register_provider,
        set_provider_order,
    )
    from caw.auth import get_docker_flags as auth_get_docker_flags
    from caw.auth import get_status as auth_get_status
    from caw.auth import setup as auth_setup
    from caw.display import Display, DisplayMode, get_global_display, set_global_display
    from caw.faststats import FastStats
    from caw.health import AuthSignal, ProviderHealth, check_providers
    from caw.logger import AgentLogger
    from caw.mcp import (
        MCPServerHandle,
        create_mcp_http_server_bundle,
        create_stateless_tool_server,
        create_subagent_tool_server,
        get_state_from_context,
        mcp_tool,
        register_tool,
    )
    from caw.models import (
        AgentSpec,
        ContentBlock,
        InteractiveResult,
        MCPServer,
        MCPTool,
        ModelTier,
        TextBlock,
        ThinkingBlock,
        ToolGroup,
        ToolUse,
        Trajectory,
        Turn,
        UsageStats,
    )
    from caw.provider import Provider, ProviderSession
    from caw.providers.claude_code import ClaudeCodeProvider
    from caw.providers.codex import CodexProvider
    from caw.providers.opencode import OpencodeProvider
    from caw.storage import JsonlWriter, SessionStore
    from caw.toolkit import ToolKit, tool
    from caw.viewer import ViewerServer, start_viewer_server

__all__ = [
    "Agent",
    "AgentLogger",
    "AgentSpec",
    "AuthSignal",
    "ClaudeCodeProvider",
    "CodexProvider",
    "ContentBlock",
    "Display",
    "DisplayMode",
    "FastStats",
    "InteractiveResult",
    "JsonlWriter",
    "MCPServer",
    "MCPServerHandle",
    "MCPTool",
    "ModelTier",
    "OpencodeProvider",
    "Provider",
    "ProviderHealth",
    "ProviderSession",
    "Session",
    "SessionStore",
    "TextBlock",
    "ThinkingBlock",
    "ToolGroup",
    "ToolKit",
    "ToolUse",
    "Trajectory",
    "Turn",
    "UsageStats",
    "ViewerServer",
    "auth_get_docker_flags",
    "auth_get_status",
    "auth_setup",
    "check_providers",
    "create_mcp_http_server_bundle",
    "create_stateless_tool_server",
    "create_subagent_tool_server",
    "get_global_display",
    "get_provider_models",
    "get_provider_order",
    "get_state_from_context",
    "installed_providers",
    "mcp_tool",
    "register_provider",
    "register_tool",
    "set_global_display",
    "set_provider_order",
    "start_viewer_server",
    "tool",
]

__version__: Final = "0.1.9"
"""The wrapper's version whose API this is."""

_OLD: Final = "coding-agent-wrapper"

_HOMES: Final = {
    "agent": (
        "Agent",
        "Session",
        "get_provider_models",
        "get_provider_order",
        "installed_providers",
        "register_provider",
        "set_provider_order",
    ),
    "display": ("Display", "DisplayMode", "get_global_display", "set_global_display"),
    "faststats": ("FastStats",),
    "health": ("AuthSignal", "ProviderHealth", "check_providers"),
    "logger": ("AgentLogger",),
    "mcp": (
        "MCPServerHandle",
        "create_mcp_http_server_bundle",
        "create_stateless_tool_server",
        "create_subagent_tool_server",
        "get_state_from_context",
        "mcp_tool",
        "register_tool",
    ),
    "models": (
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
    ),
    "provider": ("Provider", "ProviderSession"),
    "providers.claude_code": ("ClaudeCodeProvider",),
    "providers.codex": ("CodexProvider",),
    "providers.opencode": ("OpencodeProvider",),
    "storage": ("JsonlWriter", "SessionStore"),
    "toolkit": ("ToolKit", "tool"),
    "viewer": ("ViewerServer", "start_viewer_server"),
}

_RENAMED: Final = {
    "auth_get_docker_flags": "get_docker_flags",
    "auth_get_status": "get_status",
    "auth_setup": "setup",
}
"""Names of `caw.auth` that are called otherwise here."""


def _refuse_the_other() -> None:
    try:
        distribution(_OLD)
    except PackageNotFoundError:
        return
    message = (
        f"caw-compat and {_OLD} are both installed, and both are imported as 'caw': which one a "
        f"script would get is chance. Keep one: pip uninstall {_OLD}, then "
        "pip install --force-reinstall caw-compat"
    )
    raise ImportError(message, name="caw")


_refuse_the_other()


def __getattr__(name: str) -> Any:
    # As in caw_core: each name is imported when it is first used.
    if name in _RENAMED:
        value = getattr(importlib.import_module("caw.auth"), _RENAMED[name])
        globals()[name] = value
        return value
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"caw.{module}"), name)
            globals()[name] = value
            return value
    message = f"module 'caw' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
