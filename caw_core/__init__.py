"""caw: run any coding agent from Python, through one `Agent` and `Session` API.

    from caw_core import Agent

    with Agent("codex", cwd="my-project").start_session() as session:
        print(session.send("Fix the failing test").result)

`caw_core.hookspecs` is the manual for writing providers and storages.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caw_core.agent import Agent
    from caw_core.agent_spec import AgentSpec
    from caw_core.attachments import Attachment
    from caw_core.blocks import (
        Block,
        ImageBlock,
        SteerBlock,
        TextBlock,
        ThinkingBlock,
        ToolUse,
        UnknownBlock,
    )
    from caw_core.brief import HistoryParts
    from caw_core.budget import Budget
    from caw_core.deadlines import Deadlines
    from caw_core.display.choice import get_global_display, set_global_display
    from caw_core.display.display import Display, DisplayMode
    from caw_core.display.pausing import display_paused
    from caw_core.event_log import AgentLogger
    from caw_core.handoff import Handoff
    from caw_core.health import Health
    from caw_core.hookspecs import hookimpl
    from caw_core.interactive import InteractiveRequest, InteractiveResult
    from caw_core.mcp import McpServer
    from caw_core.permissions import Decision, PermissionRequest, allow, allow_always, deny
    from caw_core.provider import (
        NATIVE,
        ModelInfo,
        NativeSession,
        OptionSupport,
        Prompt,
        ProviderInfo,
        ProviderSession,
        Readiness,
        ResumeRequest,
        StartRequest,
    )
    from caw_core.provider_checks import check_providers, check_providers_async
    from caw_core.provider_order import (
        get_provider_models,
        get_provider_order,
        set_provider_order,
    )
    from caw_core.registry import (
        PluginRegistry,
        default_registry,
        installed_providers,
        register_provider,
    )
    from caw_core.session import Session
    from caw_core.steering import SteerReceipt
    from caw_core.store import Store
    from caw_core.stream import TurnStream
    from caw_core.structured import StructuredAnswer
    from caw_core.tools import ModelTier, ToolGroup
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_core.usage import UsageStats

__all__ = [
    "NATIVE",
    "Agent",
    "AgentLogger",
    "AgentSpec",
    "Attachment",
    "Block",
    "Budget",
    "Deadlines",
    "Decision",
    "Display",
    "DisplayMode",
    "Handoff",
    "Health",
    "HistoryParts",
    "ImageBlock",
    "InteractiveRequest",
    "InteractiveResult",
    "McpServer",
    "ModelInfo",
    "ModelTier",
    "NativeSession",
    "OptionSupport",
    "PermissionRequest",
    "PluginRegistry",
    "Prompt",
    "ProviderInfo",
    "ProviderSession",
    "Readiness",
    "ResumeRequest",
    "Session",
    "SessionInfo",
    "StartRequest",
    "SteerBlock",
    "SteerReceipt",
    "Store",
    "StructuredAnswer",
    "TextBlock",
    "ThinkingBlock",
    "ToolGroup",
    "ToolUse",
    "Trajectory",
    "Turn",
    "TurnStream",
    "UnknownBlock",
    "UsageStats",
    "allow",
    "allow_always",
    "check_providers",
    "check_providers_async",
    "default_registry",
    "deny",
    "display_paused",
    "get_global_display",
    "get_provider_models",
    "get_provider_order",
    "hookimpl",
    "installed_providers",
    "register_provider",
    "set_global_display",
    "set_provider_order",
]

_HOMES = {
    "agent": ("Agent",),
    "agent_spec": ("AgentSpec",),
    "attachments": ("Attachment",),
    "blocks": (
        "Block",
        "ImageBlock",
        "SteerBlock",
        "TextBlock",
        "ThinkingBlock",
        "ToolUse",
        "UnknownBlock",
    ),
    "brief": ("HistoryParts",),
    "budget": ("Budget",),
    "deadlines": ("Deadlines",),
    "display.choice": (
        "get_global_display",
        "set_global_display",
    ),
    "display.display": (
        "Display",
        "DisplayMode",
    ),
    "display.pausing": ("display_paused",),
    "event_log": ("AgentLogger",),
    "handoff": ("Handoff",),
    "health": ("Health",),
    "interactive": (
        "InteractiveRequest",
        "InteractiveResult",
    ),
    "hookspecs": ("hookimpl",),
    "mcp": ("McpServer",),
    "permissions": (
        "Decision",
        "PermissionRequest",
        "allow",
        "allow_always",
        "deny",
    ),
    "provider_checks": ("check_providers", "check_providers_async"),
    "provider": (
        "ModelInfo",
        "NATIVE",
        "NativeSession",
        "OptionSupport",
        "Prompt",
        "ProviderInfo",
        "ProviderSession",
        "Readiness",
        "ResumeRequest",
        "StartRequest",
    ),
    "provider_order": (
        "get_provider_models",
        "get_provider_order",
        "set_provider_order",
    ),
    "registry": (
        "PluginRegistry",
        "default_registry",
        "installed_providers",
        "register_provider",
    ),
    "session": ("Session",),
    "steering": ("SteerReceipt",),
    "store": ("Store",),
    "stream": ("TurnStream",),
    "structured": ("StructuredAnswer",),
    "tools": (
        "ModelTier",
        "ToolGroup",
    ),
    "trajectory": (
        "SessionInfo",
        "Trajectory",
        "Turn",
    ),
    "usage": ("UsageStats",),
}


def __getattr__(name: str) -> Any:
    # A program that only asks for a name or two, such as the command line's --help, should not
    # wait for the rest: each name is imported when it is first used.
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"caw_core.{module}"), name)
            globals()[name] = value
            return value
    msg = f"module 'caw_core' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
