"""caw plugin that lets any agent call Python functions and toolkits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_tools.context import ToolContext
from caw_tools.definition import tool
from caw_tools.image import Image
from caw_tools.kit import ToolKit, ToolSource

if TYPE_CHECKING:
    from caw_core.tool_serving import GivenTools, ToolScope
    from caw_tools.serving import SessionTools

__all__ = [
    "Image",
    "ToolContext",
    "ToolKit",
    "ToolSource",
    "caw_api",
    "check_tools",
    "serve_tools",
    "tool",
]

caw_api = "1.0"

# What speaks the protocol takes most of a second to import, so it comes at first use.


@hookimpl
def check_tools(tools: GivenTools) -> bool:
    """Raise `ConfigError` for what no agent could call; see `caw_core.hookspecs`."""
    from caw_tools.serving import check

    check(tools)
    return True


@hookimpl
def serve_tools(tools: GivenTools, scope: ToolScope) -> SessionTools:
    """Serve the tools to one session; see `caw_core.hookspecs`."""
    from caw_tools.serving import SessionTools

    return SessionTools(tools, scope)
