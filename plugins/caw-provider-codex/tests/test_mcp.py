"""MCP servers that the caller gives, really called by the real codex."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import McpServer
from caw_core.events import Notice, ToolStarted
from caw_testkit.modelserver import call, echo, reply, text

from .mcp_stdio import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import Permissions
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

ADD = reply(call("add", {"a": 1, "b": 2}, namespace="mcp__sums"))
DONE = reply(text("done"))


class SumsOverHttp(ThreadingHTTPServer):
    """The same server over streamable HTTP, which remembers what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class _Handler(BaseHTTPRequestHandler):
    server: SumsOverHttp

    def do_POST(self) -> None:
        self.server.tokens.append(self.headers.get("X-Token"))
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body: dict[str, Any] | None = None
        if "id" in message:
            result = answer(message["method"], message.get("params", {}))
            body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        self.send_response(200 if body else 202)
        self.send_header("Content-Type", "application/json")
        data = json.dumps(body).encode() if body else b""
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.send_error(405)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def http_sums() -> Iterator[SumsOverHttp]:
    with SumsOverHttp() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def stdio(env: dict[str, str] | None = None) -> McpServer:
    script = Path(__file__).with_name("mcp_stdio.py")
    return McpServer(name="sums", command=sys.executable, args=(str(script),), env=env or {})


@pytest.mark.parametrize("permissions", ["auto-edit", "full"])
def test_tool_of_a_given_server_is_called(
    desk: Desk, model_server: ModelServer, permissions: Permissions
) -> None:
    model_server.script(ADD, DONE)
    session = desk.start(mcp_servers=(stdio(),), permissions=permissions)
    [use] = desk.fold(desk.ask(session, "go")).tool_calls
    assert (use.name, use.arguments, use.output) == ("sums.add", {"a": 1, "b": 2}, "3")


def test_read_only_does_not_call_a_tool_that_may_write(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(ADD, DONE)
    session = desk.start(mcp_servers=(stdio(),), permissions="read-only")
    [use] = desk.fold(desk.ask(session, "go")).tool_calls
    assert use.is_error
    assert "requires approval" in use.output


def test_http_server_is_called_with_its_headers(
    desk: Desk, model_server: ModelServer, http_sums: SumsOverHttp
) -> None:
    model_server.script(ADD, DONE)
    server = McpServer(name="sums", url=http_sums.url, headers={"X-Token": "secret-7"})
    [use] = desk.fold(desk.ask(desk.start(mcp_servers=(server,)), "go")).tool_calls
    assert use.output == "3"
    assert set(http_sums.tokens) == {"secret-7"}


@pytest.mark.parametrize("protocol", ["app-server", "exec"])
def test_secret_reaches_the_server_and_nothing_else(
    desk: Desk,
    model_server: ModelServer,
    http_sums: SumsOverHttp,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
) -> None:
    canary = secrets.token_hex(16)
    monkeypatch.setenv("CANARY", canary)
    caplog.set_level(0)
    seen = tmp_path / "seen"
    servers = [
        stdio({"MCP_SECRET": "${CANARY}", "MCP_SEEN": str(seen)}),
        McpServer(name="web", url=http_sums.url, headers={"X-Token": "${CANARY}"}),
    ]
    model_server.script(ADD, reply(call("exec_command", {"cmd": "env"})), DONE)
    agent = desk.agent(
        mcp_servers=servers,
        env={"CANARY": None},
        options={"protocol": protocol},
        data_dir=tmp_path / "records",
    )
    with agent.start_session() as session:
        lines = []
        for event in session.stream("go"):
            if isinstance(event, ToolStarted):
                tree = psutil.Process().children(recursive=True)
                lines += [" ".join(process.cmdline()) for process in tree]
    assert seen.read_text() == hashlib.sha256(canary.encode()).hexdigest()
    assert set(http_sums.tokens) == {canary}
    assert any("codex" in line for line in lines)
    assert not any(canary in line for line in lines)
    assert canary not in caplog.text
    assert not any(canary in request.body.__repr__() for request in model_server.requests)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in files if canary.encode() in file.read_bytes()] == []


def test_server_that_does_not_start_is_a_notice(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    server = McpServer(name="broken", command="/bin/false")
    events = desk.ask(desk.start(mcp_servers=(server,)), "go")
    told = [event.message for event in events if isinstance(event, Notice)]
    assert any("'broken' did not start" in message for message in told)
    assert desk.fold(events).result == "echo: go"


def test_server_process_ends_with_its_session(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(mcp_servers=(stdio(),))
    desk.ask(session, "go")
    children = psutil.Process(session.pid).children()
    session.close()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert children
    assert not alive
