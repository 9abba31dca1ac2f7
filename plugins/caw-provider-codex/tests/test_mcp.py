"""MCP servers that the caller gives, really called by the real codex."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core import McpServer
from caw_core.events import Notice, ToolStarted
from caw_testkit.modelserver import call, echo, reply, text
from caw_testkit.toolserver import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    SEEN_VARIABLE,
    STDIO_COMMAND,
    digest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.provider import Permissions
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.toolserver import HttpToolServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

ADD = reply(call("add", {"a": 1, "b": 2}, namespace="mcp__sums"))
DONE = reply(text("done"))


def stdio(env: dict[str, str] | None = None) -> McpServer:
    command, *args = STDIO_COMMAND
    return McpServer(name="sums", command=command, args=args, env=env or {})


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
    desk: Desk, model_server: ModelServer, http_tools: HttpToolServer
) -> None:
    model_server.script(ADD, DONE)
    server = McpServer(name="sums", url=http_tools.url, headers={SECRET_HEADER: "secret-7"})
    [use] = desk.fold(desk.ask(desk.start(mcp_servers=(server,)), "go")).tool_calls
    assert use.output == "3"
    assert set(http_tools.secrets) == {"secret-7"}


@pytest.mark.parametrize("protocol", ["live", "spawn"])
def test_secret_reaches_the_server_and_nothing_else(
    desk: Desk,
    model_server: ModelServer,
    http_tools: HttpToolServer,
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
        stdio({SECRET_VARIABLE: "${CANARY}", SEEN_VARIABLE: str(seen)}),
        McpServer(name="web", url=http_tools.url, headers={SECRET_HEADER: "${CANARY}"}),
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
    assert seen.read_text() == digest(canary)
    assert set(http_tools.secrets) == {canary}
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
