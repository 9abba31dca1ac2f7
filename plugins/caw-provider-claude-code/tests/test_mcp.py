"""The caller's MCP servers, called by the real claude."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.events import Notice
from caw_core.mcp import McpServer
from caw_core.permissions import PermissionDesk
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, echo, reply, text

from .conftest import ask, fold, is_alive
from .mcp_tools import HttpTools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.permissions import PermissionRequest
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

CANARY = "canary-4711"
STDIO = McpServer(
    name="st",
    command=sys.executable,
    args=(str(Path(__file__).with_name("mcp_tools.py")),),
    env={"SECRET": CANARY},
)


@pytest.fixture
def http_tools() -> Iterator[HttpTools]:
    tools = HttpTools()
    yield tools
    tools.stop()


def test_servers_are_called_and_their_secrets_stay_out_of_argv(
    desk: Desk, model_server: ModelServer, http_tools: HttpTools
) -> None:
    http = McpServer(name="ht", url=http_tools.url, headers={"X-Secret": f"{CANARY}-http"})
    model_server.script(reply(call("mcp__st__tell", {}), call("mcp__ht__tell", {})))
    model_server.script(reply(text("done")))
    session = desk.start(mcp_servers=(STDIO, http), tools=ToolGroup.READER)
    assert session.pid
    processes = [psutil.Process(session.pid), *psutil.Process(session.pid).children()]
    argv = [word for process in processes for word in process.cmdline()]
    events = ask(session, "go")
    uses = fold(events).tool_calls
    assert [use.name for use in uses] == ["st.tell", "ht.tell"]
    assert [use.output for use in uses] == [f"told {CANARY}", f"told {CANARY}-http"]
    assert not any(CANARY in word for word in argv)
    assert {"mcp__st__tell", "mcp__ht__tell"} <= set(model_server.requests[-1].tools)
    children = [process.pid for process in psutil.Process(session.pid).children(recursive=True)]
    session.close()
    assert not any(is_alive(pid) for pid in children)


def test_server_that_does_not_start_is_a_notice_and_the_others_work(
    desk: Desk, model_server: ModelServer
) -> None:
    bad = McpServer(name="bad", command="/nowhere/at-all", env={"SECRET": CANARY})
    model_server.script(reply(call("mcp__st__tell", {})), reply(text("done")))
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
    assert "mcp__st__tell" in model_server.requests[-1].tools


def test_tool_of_a_server_is_asked_for(desk: Desk, model_server: ModelServer) -> None:
    asked: list[PermissionRequest] = []

    def decide(request: PermissionRequest) -> bool:
        asked.append(request)
        return True

    model_server.script(reply(call("mcp__st__tell", {"a": 1})), reply(text("done")))
    session = desk.start(
        permissions="ask", mcp_servers=(STDIO,), permission_desk=PermissionDesk(decide)
    )
    turn = fold(ask(session, "go"))
    assert [(one.tool, one.kind, one.arguments) for one in asked] == [("st.tell", "mcp", {"a": 1})]
    assert turn.tool_calls[0].output == f"told {CANARY}"


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
