"""MCP servers that the caller gives, really called by the real opencode."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.errors import UnsupportedError
from caw_core.events import Notice, ToolStarted
from caw_core.mcp import McpServer
from caw_core.permissions import Decision, PermissionRequest, allow
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, reply, text
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

pytestmark = pytest.mark.real_opencode

ADD = reply(call("sums_add", {"a": 1, "b": 2}))
DONE = reply(text("done"))


def stdio(env: dict[str, str] | None = None, name: str = "sums") -> McpServer:
    command, *args = STDIO_COMMAND
    return McpServer(name=name, command=command, args=args, env=env or {})


@pytest.mark.parametrize("permissions", ["auto-edit", "full"])
def test_tool_of_a_given_server_is_called(
    own_desk: Desk, model_server: ModelServer, permissions: Permissions
) -> None:
    model_server.script(ADD, DONE)
    session = own_desk.start(mcp_servers=(stdio(),), permissions=permissions)
    [use] = own_desk.turn(session).tool_calls
    assert (use.name, use.arguments, use.output) == ("sums.add", {"a": 1, "b": 2}, "3")


def test_read_only_does_not_offer_a_tool_that_may_write(
    own_desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(DONE)
    own_desk.turn(own_desk.start(mcp_servers=(stdio(),), permissions="read-only"))
    assert "sums_add" not in model_server.requests[-1].tools


def test_person_is_asked_under_ask(own_desk: Desk, model_server: ModelServer) -> None:
    asked: list[PermissionRequest] = []

    def person(request: PermissionRequest) -> Decision:
        asked.append(request)
        return allow()

    model_server.script(ADD, DONE)
    agent = own_desk.agent(mcp_servers=[stdio()], permissions="ask", on_permission=person)
    with agent.start_session() as session:
        assert session.send("go").tool_calls[0].output == "3"
    [request] = asked
    assert (request.tool, request.kind, request.arguments) == ("sums.add", "mcp", {"a": 1, "b": 2})


@pytest.mark.parametrize(
    "groups", [ToolGroup.READER, ToolGroup.READER | ToolGroup.PARALLEL, ToolGroup(0)]
)
def test_allow_list_leaves_given_servers_and_drops_the_users(
    own_desk: Desk, model_server: ModelServer, groups: ToolGroup
) -> None:
    users = {"type": "local", "command": list(STDIO_COMMAND)}
    model_server.script(DONE)
    session = own_desk.start(
        mcp_servers=(stdio(),), tools=groups, options={"config": {"mcp": {"users": users}}}
    )
    own_desk.turn(session)
    offered = model_server.requests[-1].tools
    assert ("sums_add" in offered, "users_add" in offered) == (True, False)


def test_http_server_is_called_with_its_headers(
    own_desk: Desk, model_server: ModelServer, http_tools: HttpToolServer
) -> None:
    model_server.script(ADD, DONE)
    server = McpServer(name="sums", url=http_tools.url, headers={SECRET_HEADER: "secret-7"})
    [use] = own_desk.turn(own_desk.start(mcp_servers=(server,))).tool_calls
    assert use.output == "3"
    assert set(http_tools.secrets) == {"secret-7"}


def test_sessions_of_one_folder_do_not_see_each_others_servers(
    own_desk: Desk, model_server: ModelServer
) -> None:
    servers = {"one": (stdio(name="one"),), "two": (stdio(name="two"),), "": ()}
    sessions = {name: own_desk.start(mcp_servers=given) for name, given in servers.items()}
    for name, session in sessions.items():
        model_server.script(DONE)
        own_desk.turn(session)
        offered = [tool for tool in model_server.requests[-1].tools if tool.endswith("_add")]
        assert offered == ([f"{name}_add"] if name else [])


def test_sessions_with_the_same_servers_share_a_process(own_desk: Desk, tmp_path: Path) -> None:
    one, two = (own_desk.start(mcp_servers=(stdio(),)) for _ in range(2))
    other = own_desk.start(mcp_servers=(stdio(),), cwd=tmp_path)
    assert one.pid == two.pid == other.pid


def test_server_that_does_not_start_is_told(own_desk: Desk, model_server: ModelServer) -> None:
    model_server.script(DONE)
    broken = McpServer(name="broken", command="/nowhere", env={"KEY": "canary"})
    events = own_desk.ask(own_desk.start(mcp_servers=(broken,)), "go")
    [notice] = [event.message for event in events if isinstance(event, Notice)]
    assert "'broken' did not start" in notice
    assert "canary" not in notice


def test_name_that_opencode_uses_itself_is_refused(own_desk: Desk) -> None:
    with pytest.raises(UnsupportedError, match="external_directory"):
        own_desk.start(mcp_servers=(stdio(name="external"),))


def test_servers_end_with_the_session(own_desk: Desk) -> None:
    session = own_desk.start(mcp_servers=(stdio(),))
    below = psutil.Process(session.pid).children(recursive=True)
    assert any("caw_testkit.toolserver" in " ".join(process.cmdline()) for process in below)
    session.close()
    psutil.wait_procs(below, timeout=10)
    assert not [process for process in below if process.is_running()]


def test_secret_reaches_the_server_and_nothing_else(
    own_desk: Desk,
    model_server: ModelServer,
    http_tools: HttpToolServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary = secrets.token_hex(16)
    monkeypatch.setenv("CANARY", canary)
    caplog.set_level(0)
    seen = tmp_path / "seen"
    servers = [
        stdio({SECRET_VARIABLE: "${CANARY}", SEEN_VARIABLE: str(seen)}),
        McpServer(name="web", url=http_tools.url, headers={SECRET_HEADER: "${CANARY}"}),
    ]
    command = {"command": "env", "description": "environment"}
    model_server.script(ADD, reply(call("bash", command)), DONE)
    agent = own_desk.agent(
        mcp_servers=servers,
        env={"CANARY": None},
        data_dir=tmp_path / "records",
    )
    lines: list[str] = []
    with agent.start_session() as session:
        for event in session.stream("go"):
            if isinstance(event, ToolStarted):
                tree = psutil.Process().children(recursive=True)
                lines += [" ".join(process.cmdline()) for process in tree]
    assert seen.read_text() == digest(canary)
    assert set(http_tools.secrets) == {canary}
    assert canary not in "\n".join(lines)
    assert canary not in caplog.text
    assert canary not in json.dumps([request.body for request in model_server.requests])
    kept = [*tmp_path.rglob("*"), *own_desk.home.path.rglob("*")]
    found = [path for path in kept if path.is_file() and canary.encode() in path.read_bytes()]
    assert found == []
