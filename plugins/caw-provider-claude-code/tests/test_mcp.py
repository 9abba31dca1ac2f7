"""The caller's MCP servers, called by the real claude."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import psutil
import pytest

from caw_core.events import Notice
from caw_core.mcp import McpServer
from caw_core.permissions import PermissionDesk
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, echo, reply, text
from caw_testkit.toolserver import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    SEEN_VARIABLE,
    STDIO_COMMAND,
    digest,
)

from .conftest import ask, fold, is_alive

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.permissions import PermissionRequest
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.toolserver import HttpToolServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

CANARY = "canary-4711"
STDIO = McpServer(
    name="st", command=STDIO_COMMAND[0], args=STDIO_COMMAND[1:], env={SECRET_VARIABLE: CANARY}
)
ADD = {"a": 1, "b": 2}


def test_servers_are_called_and_their_secrets_stay_out_of_argv(
    desk: Desk, model_server: ModelServer, http_tools: HttpToolServer, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    stdio = attrs.evolve(STDIO, env={SECRET_VARIABLE: CANARY, SEEN_VARIABLE: str(seen)})
    http = McpServer(name="ht", url=http_tools.url, headers={SECRET_HEADER: f"{CANARY}-http"})
    model_server.script(reply(call("mcp__st__add", ADD), call("mcp__ht__add", ADD)))
    model_server.script(reply(text("done")))
    session = desk.start(mcp_servers=(stdio, http), tools=ToolGroup.READER)
    assert session.pid
    processes = [psutil.Process(session.pid), *psutil.Process(session.pid).children()]
    argv = [word for process in processes for word in process.cmdline()]
    events = ask(session, "go")
    uses = fold(events).tool_calls
    assert [(use.name, use.output) for use in uses] == [("st.add", "3"), ("ht.add", "3")]
    assert seen.read_text() == digest(CANARY)
    assert set(http_tools.secrets) == {f"{CANARY}-http"}
    assert not any(CANARY in word for word in argv)
    assert {"mcp__st__add", "mcp__ht__add"} <= set(model_server.requests[-1].tools)
    children = [process.pid for process in psutil.Process(session.pid).children(recursive=True)]
    session.close()
    assert not any(is_alive(pid) for pid in children)


def test_server_that_does_not_start_is_a_notice_and_the_others_work(
    desk: Desk, model_server: ModelServer
) -> None:
    bad = McpServer(name="bad", command="/nowhere/at-all", env={SECRET_VARIABLE: CANARY})
    model_server.script(reply(call("mcp__st__add", ADD)), reply(text("done")))
    events = ask(desk.start(mcp_servers=(bad, STDIO)), "go")
    [notice] = [event.message for event in events if isinstance(event, Notice)]
    assert "'bad'" in notice
    assert CANARY not in notice
    assert fold(events).tool_calls[0].status == "completed"


def test_servers_come_back_after_a_crash(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(mcp_servers=(STDIO,))
    ask(session, "one")
    session._running().stop(5)
    ask(session, "two")
    assert "mcp__st__add" in model_server.requests[-1].tools


def test_tool_of_a_server_is_asked_for(desk: Desk, model_server: ModelServer) -> None:
    asked: list[PermissionRequest] = []

    def decide(request: PermissionRequest) -> bool:
        asked.append(request)
        return True

    model_server.script(reply(call("mcp__st__add", ADD)), reply(text("done")))
    session = desk.start(
        permissions="ask", mcp_servers=(STDIO,), permission_desk=PermissionDesk(decide)
    )
    turn = fold(ask(session, "go"))
    assert [(one.tool, one.kind, one.arguments) for one in asked] == [("st.add", "mcp", ADD)]
    assert turn.tool_calls[0].output == "3"


def test_servers_of_the_folder_are_left_out_where_kinds_of_tools_are_asked_for(
    desk: Desk, model_server: ModelServer
) -> None:
    import json

    settings = {"command": STDIO.command, "args": list(STDIO.args)}
    (desk.home.cwd / ".mcp.json").write_text(json.dumps({"mcpServers": {"folder": settings}}))
    desk.home.config.write_text(json.dumps({"enableAllProjectMcpServers": True}))
    model_server.respond(echo)
    ask(desk.start(tools=ToolGroup.ALL), "go")
    assert not any(name.startswith("mcp__") for name in model_server.requests[-1].tools)
