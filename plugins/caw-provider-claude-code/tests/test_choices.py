"""Forks, models, and the kinds of tools, seen from the model's end."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.json_fields import mapping
from caw_core.mcp import McpServer
from caw_core.permissions import PermissionDesk
from caw_core.provider import StartRequest
from caw_core.tools import ToolGroup
from caw_provider_claude_code.servers import server_settings
from caw_provider_claude_code.toolsets import TOOLS, kind_of
from caw_testkit.modelserver import call, echo, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_provider_claude_code.session import ClaudeCodeSession
    from caw_testkit.modelserver import ModelServer, RecordedRequest

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

EMPTY = {"DeferredToolPlaceholder"}
"""Newer versions put a tool without any function into an otherwise short list."""


def fork(session: ClaudeCodeSession, **changes: Any) -> ClaudeCodeSession:
    import attrs

    request = attrs.evolve(session._request, session_id=str(uuid.uuid4()), **changes)
    assert type(request) is StartRequest
    return session.fork(request)


def test_fork_has_the_history_and_leaves_the_original_alone(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    ask(session, "one")
    branch = fork(session)
    try:
        ask(session, "two")
        ask(branch, "other")
        assert model_server.requests[-1].user_texts()[-2:] == ["one", "other"]
        ask(session, "three")
        assert model_server.requests[-1].user_texts()[-3:] == ["one", "two", "three"]
        assert branch.resume_key == branch._request.session_id != session.resume_key
    finally:
        branch.close()
    assert branch.resume_key
    ask(desk.resume(branch.resume_key), "again")
    assert model_server.requests[-1].user_texts()[-3:] == ["one", "other", "again"]


def test_fork_before_the_first_prompt_is_a_new_conversation(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    branch = fork(desk.start())
    try:
        assert fold(ask(branch, "one")).result == "echo: one"
    finally:
        branch.close()


def test_models_are_those_that_claude_lists(desk: Desk) -> None:
    models = {model.name: model for model in desk.start().models()}
    assert [name for name, model in models.items() if model.is_default] == ["default"]
    assert "high" in models["default"].efforts
    assert models["haiku"].description


def test_tiers_are_aliases_of_listed_models(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    tiers = desk.provider.provider_info().tiers
    listed = {model.name.partition("[")[0] for model in session.models()}
    assert set(tiers.values()) <= listed
    for model in tiers.values():
        session.set_model(model, None)
        ask(session, "go")
        assert model in model_server.requests[-1].model


def test_model_and_effort_change_between_turns_and_outlast_a_crash(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(model="opus", reasoning="high")
    pid = session.pid
    ask(session, "one")
    session.set_model("sonnet", "low")
    ask(session, "two")
    assert session.pid == pid
    session._running().stop(5)
    ask(session, "three")
    asked = [(request.model, request.body["output_config"]) for request in model_server.requests]
    assert ["opus" in model for model, _ in asked] == [True, False, False]
    assert ["sonnet" in model for model, _ in asked] == [False, True, True]
    assert [config["effort"] for _, config in asked] == ["high", "low", "low"]


def test_unknown_effort_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="low"):
        desk.start().set_model(None, "enormous")


@pytest.mark.parametrize("group", [*ToolGroup, ToolGroup.READER | ToolGroup.WEB])
def test_only_tools_of_the_group_are_offered(
    desk: Desk, model_server: ModelServer, group: ToolGroup
) -> None:
    model_server.respond(echo)
    desk_of_requests = PermissionDesk(lambda _: False)
    ask(desk.start(tools=group, permission_desk=desk_of_requests), "go")
    offered = set(model_server.requests[-1].tools) - EMPTY
    allowed = {name for one, names in TOOLS.items() if one in group for name in names}
    assert offered
    assert offered <= allowed


def test_all_groups_together_leave_out_no_tool_of_claudes(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    settings: dict[str, Any] = {"permission_desk": PermissionDesk(lambda _: False)}
    ask(desk.start(**settings), "go")
    ask(desk.start(tools=ToolGroup.ALL, **settings), "go")
    without, with_all = (set(request.tools) - EMPTY for request in model_server.requests)
    assert without <= with_all


def test_subagent_has_no_tools_of_other_groups(desk: Desk, model_server: ModelServer) -> None:
    def is_sub(request: RecordedRequest) -> bool:
        return any("SUB" in said for said in request.user_texts())

    run = {"command": "touch made"}
    model_server.script(reply(call("Bash", run)), reply(text("sub done")), when=is_sub)
    task = {"description": "d", "prompt": "SUB", "subagent_type": "general-purpose"}
    model_server.script(reply(call("Agent", task)), reply(text("done")))
    ask(desk.start(tools=ToolGroup.READER | ToolGroup.PARALLEL), "MAIN")
    allowed = {*TOOLS[ToolGroup.READER], *TOOLS[ToolGroup.PARALLEL]}
    assert all(set(request.tools) - EMPTY <= allowed for request in model_server.requests)
    assert not (desk.home.cwd / "made").exists()


def test_read_only_leaves_out_tools_that_act_whatever_is_asked_for(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    ask(desk.start(permissions="read-only", tools=ToolGroup.EXEC | ToolGroup.WRITER), "go")
    assert set(model_server.requests[-1].tools) <= EMPTY


def test_read_only_with_servers_of_tools_is_refused(desk: Desk) -> None:
    server = McpServer(name="s", command="true")
    with pytest.raises(UnsupportedError, match="read-only"):
        desk.start(permissions="read-only", mcp_servers=(server,))


def test_call_seconds_are_claudes_timeout() -> None:
    server = McpServer(name="own", url="http://127.0.0.1:1/", call_seconds=90)
    assert mapping(server_settings([server]), "own")["timeout"] == 90_000


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("Read", "read"),
        ("Edit", "edit"),
        ("Bash", "exec"),
        ("WebFetch", "web"),
        ("mcp__a__b", "mcp"),
        ("AskUserQuestion", "question"),
        ("Agent", "other"),
    ],
)
def test_request_says_what_sort_of_thing_it_is(tool: str, kind: str) -> None:
    assert kind_of(tool) == kind
