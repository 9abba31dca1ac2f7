"""Tools in Python by the wrapper's names; an agent's program calls them in test_examples."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from caw import (
    MCPServerHandle,
    ToolKit,
    create_mcp_http_server_bundle,
    create_stateless_tool_server,
    get_state_from_context,
    mcp_tool,
    register_tool,
    tool,
)
from caw.mcp import Context

if TYPE_CHECKING:
    from collections.abc import Callable


def tools_of(handle: MCPServerHandle) -> dict[str, Callable[..., Any]]:
    return {function.__name__: function for function in handle.tool_functions()}


async def called(handle: MCPServerHandle, name: str, arguments: dict[str, Any]) -> str:
    """Call a tool over HTTP, as another program on this machine would."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=handle.headers) as http,
        Client(streamable_http_client(handle.url, http_client=http)) as client,
    ):
        result = await client.call_tool(name, arguments)
        return str(result.content[0].text)  # type: ignore[union-attr]  # these tools return texts


def test_state_is_found_from_the_context() -> None:
    handle = create_mcp_http_server_bundle("notes", display_name="Notes", state_factory=list)

    @mcp_tool(name="note", description="Take a note")
    def note(text: str, ctx: Context) -> str:
        state = get_state_from_context(ctx)
        state.append(text)
        return ", ".join(state)

    register_tool(handle.server, note)
    handle.start_sync()
    try:
        asyncio.run(called(handle, "note", {"text": "one"}))
        assert asyncio.run(called(handle, "note", {"text": "two"})) == "one, two"
    finally:
        handle.stop_sync()
    assert handle.get_state() == ["one", "two"]
    with pytest.raises(RuntimeError, match="start_sync"):
        _ = handle.url


def test_server_runs_beside_async_work() -> None:
    def add(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - FastMCP took it so
        """Add two numbers."""
        return str(a + b)

    handle = create_stateless_tool_server([add])

    async def main() -> str:
        async with handle.run_in_background():
            return await called(handle, "add", {"a": 17, "b": 25})

    assert asyncio.run(main()) == "42"


def test_kit_becomes_a_server_with_its_marked_methods() -> None:
    class Users(ToolKit, server_name="user_db", display_name="Users", thread_safe=True):
        def __init__(self) -> None:
            self.names = ["Ada"]

        @tool(description="List all users")
        async def list_users(self) -> str:
            return ", ".join(self.names)

        def unmarked(self) -> None:
            raise AssertionError

    handle = Users().as_server()
    assert (handle.server_id, handle.server.name, list(tools_of(handle))) == (
        "user_db",
        "Users",
        ["list_users"],
    )
    assert asyncio.run(tools_of(handle)["list_users"]()) == "Ada"


def test_what_was_fastmcps_alone_is_refused_or_warned_of() -> None:
    with pytest.raises(ValueError, match="lifespan"):
        create_mcp_http_server_bundle("x", display_name="X", lifespan=object())
    with pytest.raises(ValueError, match="not both"):
        create_mcp_http_server_bundle("x", display_name="X", state_factory=list, state_instance=[])
    with pytest.warns(DeprecationWarning, match="stateless_http"):
        create_mcp_http_server_bundle("x", display_name="X", stateless_http=True)
