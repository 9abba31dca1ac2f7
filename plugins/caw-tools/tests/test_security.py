"""Who may call the tools: whoever has the session's token, from this machine, and no web page."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from caw_tools import ToolKit, tool

if TYPE_CHECKING:
    from caw_core import McpServer

    from .conftest import Serve

LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
HELLO = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
)


def hello() -> str:
    """Say hello."""
    return "hello"


def status(server: McpServer, *, path: str = "", body: str = HELLO, **headers: str | None) -> int:
    """Send a request as *server* wants it, but for *headers*; return the status of the answer."""
    address = urlsplit(server.url)
    sent: dict[str, Any] = {
        "Authorization": server.headers["Authorization"],
        "Host": address.netloc,
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    try:
        given = {name: value for name, value in sent.items() if value is not None}
        connection.request("POST", path or address.path, body, given)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def server(serve: Serve) -> McpServer:
    return serve(hello).servers[0]


def test_token_opens_the_server(server: McpServer) -> None:
    assert status(server) == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer ", "Bearer guess", "Basic Og==", "é"])
def test_nothing_is_told_without_the_token(server: McpServer, authorization: str | None) -> None:
    assert status(server, Authorization=authorization) == 401
    assert status(server, Authorization=authorization, body=LIST) == 401


def test_token_of_one_session_does_not_open_another(serve: Serve, server: McpServer) -> None:
    [other] = serve(hello).servers
    assert status(server, Authorization=other.headers["Authorization"]) == 401


def test_token_of_a_session_that_ended_opens_nothing(serve: Serve, server: McpServer) -> None:
    tools = serve(hello)
    [gone] = tools.servers
    assert status(gone) == 200
    tools.close()
    assert status(gone) == 401
    assert status(server) == 200


@pytest.mark.parametrize("path", ["/", "/0", "/999", "/1/x", "/%2e%2e/1"])
def test_no_other_path_is_there(server: McpServer, path: str) -> None:
    assert status(server, path=path) == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost", "127.0.0.1", ""])
def test_other_host_is_refused(server: McpServer, host: str) -> None:
    assert status(server, Host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "file://"])
def test_page_in_a_browser_is_refused(server: McpServer, origin: str) -> None:
    assert status(server, Origin=origin) == 403


def test_token_is_long_and_everybodys_own(serve: Serve) -> None:
    class Kit(ToolKit):
        @tool
        def hello(self) -> None:
            """Do nothing."""

    tools = [*serve(hello, servers=(Kit(),)).servers, *serve(hello).servers]
    tokens = {server.headers["Authorization"].removeprefix("Bearer ") for server in tools}
    assert len(tokens) == 3
    # 256 bits in 6 each.
    assert all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)


def test_it_listens_on_loopback_alone(server: McpServer) -> None:
    assert urlsplit(server.url).hostname == "127.0.0.1"


def test_token_is_in_no_text(
    serve: Serve, server: McpServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    token = server.headers["Authorization"].removeprefix("Bearer ")
    assert status(server) == 200
    assert status(server, Authorization="Bearer guess") == 401
    assert token not in caplog.text
    assert token not in repr(server) + server.url


def test_tool_that_destroys_is_not_offered_under_read_only(serve: Serve) -> None:
    @tool(annotations={"destructiveHint": True})
    def wipe() -> None:
        """Wipe."""

    names = {
        mode: [*serve(hello, wipe, permissions=mode)._lanes[0]._tools]
        for mode in ("read-only", "ask")
    }
    assert names == {"read-only": ["hello"], "ask": ["hello", "wipe"]}
