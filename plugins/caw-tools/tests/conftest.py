"""Sessions whose tools are called by an official client of the protocol, and by raw HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.provider import StartRequest
from caw_core.redaction import Redactor
from caw_core.tool_serving import GivenTools, ToolScope
from caw_tools import serve_tools

from .client import calling, text_of

if TYPE_CHECKING:
    from mcp import Client

    from caw_tools.serving import SessionTools

Serve = Callable[..., "SessionTools"]
Ask = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve tools to a session that nobody opened, until the end of the test."""
    opened: list[SessionTools] = []

    def open_tools(
        *functions: Callable[..., Any],
        servers: tuple[object, ...] = (),
        redactor: Redactor | None = None,
        **request: Any,
    ) -> SessionTools:
        session_id = f"session-{len(opened)}"
        scope = ToolScope(
            provider="none",
            request=StartRequest(session_id=session_id, cwd=tmp_path, **request),
            redact=redactor.text if redactor else str,
        )
        opened.append(serve_tools(GivenTools(functions=functions, servers=servers), scope))
        return opened[-1]

    yield open_tools
    for tools in opened:
        tools.close()


@pytest.fixture
def ask(serve: Serve) -> Ask:
    """Return what an agent reads of one call of a function."""

    def call(function: Any, **arguments: Any) -> str:
        name = getattr(function, "__name__", "")
        [server] = serve(function).servers

        async def once(client: Client) -> str:
            return text_of(await client.call_tool(name, arguments))

        return run(server, once)

    return call


def run(server: Any, use: Callable[[Client], Awaitable[Any]]) -> Any:
    """Connect to a server as an agent does, and do something there."""

    async def connected() -> Any:
        async with calling(server) as client:
            return await use(client)

    return asyncio.run(connected())
