"""`ToolKit` and `tool` as the wrapper has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caw_tools
from caw_tools import tool

if TYPE_CHECKING:
    from caw.mcp import MCPServerHandle

__all__ = ["ToolKit", "tool"]


class ToolKit(caw_tools.ToolKit):
    """Base class of tools that share a state; `caw_tools.ToolKit` is the one for new code.

    Args:
        server_name: how its tools are told from others; default the class's name.
        display_name: a name for people.
        thread_safe: True asked the wrapper for a lock around each call. Here calls of an instance
            always run one after another. In `caw_tools.ToolKit` True says the opposite: that no
            lock is needed.
    """

    def __init_subclass__(
        cls,
        server_name: str = "",
        display_name: str = "",
        thread_safe: bool = False,  # noqa: FBT001, FBT002 - the wrapper's signature
        **kwargs: Any,
    ) -> None:
        """Take the arguments of the ``class`` line."""
        del thread_safe
        super().__init_subclass__(
            server_name=server_name, display_name=display_name, thread_safe=False, **kwargs
        )

    def as_server(self, server_id: str | None = None) -> MCPServerHandle:  # type: ignore[override]  # the wrapper's
        """Return a handle with all marked methods, for ``tool_servers=``."""
        from caw.mcp import create_mcp_http_server_bundle, register_tool

        handle = create_mcp_http_server_bundle(
            server_id or self.server_name,
            display_name=self.display_name or self.server_name,
            state_instance=self,
        )
        for function in self.tool_functions():
            register_tool(handle.server, function)
        return handle
