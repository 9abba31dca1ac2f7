"""An agent's side of the protocol, and a provider whose agent does nothing but call tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from caw_core import NATIVE, Prompt, ProviderInfo, ResumeRequest, StartRequest, hookimpl
from caw_core.events import Event, TextDelta

if TYPE_CHECKING:
    from mcp.types import CallToolResult

    from caw_core import McpServer


@contextlib.asynccontextmanager
async def calling(server: McpServer) -> AsyncIterator[Client]:
    """Connect to a server of tools."""
    async with (
        httpx2.AsyncClient(headers=dict(server.headers), timeout=60) as http,
        Client(streamable_http_client(server.url, http_client=http)) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    """Return the text of a result; an error says so."""
    text = "".join(getattr(block, "text", "") for block in result.content)
    return f"error: {text}" if result.is_error else text


class CallerSession:
    """A conversation whose prompts are calls: ``SERVER TOOL {arguments}``."""

    def __init__(self, request: StartRequest) -> None:
        self.request = request
        self.resume_key: str | None = request.session_id

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Call the tool and repeat what it said."""
        name, tool, arguments = prompt.text.split(" ", 2)
        [server] = [server for server in self.request.mcp_servers if server.name == name]

        async def call() -> str:
            async with calling(server) as client:
                return text_of(await client.call_tool(tool, json.loads(arguments)))

        yield TextDelta(text=asyncio.run(call()))

    def interrupt(self) -> None:
        """Do nothing: it is quick."""

    def close(self) -> None:
        """Do nothing: there is nothing."""

    def fork(self, request: StartRequest) -> CallerSession:
        """Begin anew."""
        return CallerSession(request)


class CallerProvider:
    """A provider of agents that do nothing but call tools."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.broken = False

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say that it takes servers of tools."""
        return ProviderInfo(
            name="caller",
            auto="never",
            capabilities=frozenset({"resume", "fork", "tools"}),
            options={"mcp_servers": NATIVE, "cwd": NATIVE, "permissions": NATIVE},
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> CallerSession:
        """Open a session, or fail."""
        if self.broken:
            message = "the agent does not start"
            raise RuntimeError(message)
        return CallerSession(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> CallerSession:
        """Open a session."""
        return CallerSession(request)
