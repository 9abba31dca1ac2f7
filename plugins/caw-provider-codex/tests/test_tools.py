"""Which tools the real codex offers to its model under each allow-list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import ToolGroup
from caw_core.errors import UnsupportedError
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_testkit.modelserver import ModelServer, RecordedRequest

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

GROUPS = {
    ToolGroup.READER: {"view_image"},
    ToolGroup.EXEC: {"exec_command", "write_stdin"},
    ToolGroup.WEB: {"web_search"},
    ToolGroup.PARALLEL: {"spawn_agent", "tool_search"},
    ToolGroup.INTERACTION: {"request_user_input", "request_user_input_async"},
}
MODELS = ["gpt-5.5", "gpt-5", "gpt-6-sol", "gpt-5.6-luna"]


def offered(request: RecordedRequest) -> set[str]:
    """Return the tools of a request, those inside of namespaces and of ``exec`` too."""
    more = [item["tools"] for item in request.body["input"] if item["type"] == "additional_tools"]
    return set(names([*request.body.get("tools", []), *(tool for tools in more for tool in tools)]))


def names(tools: list[dict[str, Any]]) -> Iterator[str]:
    for tool in tools:
        yield tool.get("name", tool["type"])
        yield from names(tool.get("tools", []))
        if tool.get("name") == "exec":
            yield from re.findall(r"^### `(\w+)`", tool["description"], re.MULTILINE)


def tools_with(desk: Desk, model_server: ModelServer, model: str, **changes: Any) -> set[str]:
    model_server.respond(echo)
    desk.ask(desk.start(model=model, **changes), "go")
    return offered(model_server.requests[-1])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "gone",
    [
        ToolGroup.EXEC,
        ToolGroup.EXEC | ToolGroup.READER,
        ToolGroup.WEB,
        ToolGroup.PARALLEL,
        ToolGroup.INTERACTION,
        ToolGroup.ALL - ToolGroup.WRITER,
    ],
)
def test_exactly_the_groups_that_are_not_named_are_gone(
    desk: Desk, model_server: ModelServer, model: str, gone: ToolGroup
) -> None:
    everything = tools_with(desk, model_server, model)
    left = tools_with(desk, model_server, model, tools=ToolGroup.ALL - gone)
    expected = {name for group, tools in GROUPS.items() if group in gone for name in tools}
    if ToolGroup.PARALLEL in gone:
        expected |= {name for name in everything if name.endswith(("_agent", "_agents"))}
        expected |= {"send_input", "send_message", "followup_task", "collaboration"}
        expected |= {"multi_agent_v1"}
    assert everything - left == expected & everything


@pytest.mark.parametrize(
    ("tools", "named"),
    [
        (ToolGroup.READER, "WRITER"),
        (ToolGroup.ALL - ToolGroup.WRITER, "WRITER"),
        (ToolGroup.ALL - ToolGroup.READER, "READER"),
    ],
)
def test_what_cannot_be_taken_away_is_named(desk: Desk, tools: ToolGroup, named: str) -> None:
    with pytest.raises(UnsupportedError, match=f"cannot take away {named}"):
        desk.start(tools=tools)


def test_tools_stay_away_after_a_resume_and_in_a_fork(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    tools = ToolGroup.ALL - ToolGroup.EXEC
    with desk.agent(tools=tools).start_session() as session:
        session.send("one")
        with session.fork() as child:
            child.send("two")
            assert "exec_command" not in offered(model_server.requests[-1])
        handle = session.resume_handle
    with desk.agent(tools=tools).resume_session(handle) as session:
        session.send("three")
    assert "exec_command" not in offered(model_server.requests[-1])
    with desk.agent().resume_session(handle) as session:
        session.send("four")
    assert "exec_command" in offered(model_server.requests[-1])


def test_option_config_cannot_bring_a_tool_back(desk: Desk, model_server: ModelServer) -> None:
    config = {"features": {"shell_tool": True, "goals": False}, "web_search": "live"}
    left = tools_with(
        desk,
        model_server,
        "gpt-5.5",
        tools=ToolGroup.ALL - ToolGroup.EXEC - ToolGroup.WEB,
        options={"config": config},
    )
    assert not left & {"exec_command", "web_search", "get_goal"}
