"""Which tools the real opencode offers to the model, and where they may work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core.events import Notice
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

NEUTRAL = {"todowrite"}
TOOLS = {
    ToolGroup.READER: {"read", "glob", "grep", "skill"},
    ToolGroup.WRITER: {"edit", "write"},
    ToolGroup.EXEC: {"bash"},
    ToolGroup.WEB: {"webfetch"},
    ToolGroup.PARALLEL: {"task"},
}


def _write(file: Path) -> Any:
    return call("write", {"filePath": str(file), "content": "made\n"})


@pytest.mark.parametrize(
    "groups",
    [
        *TOOLS,
        ToolGroup(0),
        ToolGroup.READER | ToolGroup.WEB,
        ToolGroup.ALL - ToolGroup.EXEC,
        ToolGroup.NO_INTERACTION,
    ],
)
def test_model_is_offered_these_groups_and_nothing_else(
    desk: Desk, model_server: ModelServer, groups: ToolGroup
) -> None:
    model_server.script(reply(text("ok")))
    desk.turn(desk.start(tools=groups))
    wanted = {name for group, names in TOOLS.items() if group in groups for name in names}
    assert set(model_server.requests[-1].tools) == wanted | NEUTRAL


def test_question_is_there_only_if_somebody_may_answer(
    desk: Desk, model_server: ModelServer
) -> None:
    for answers in (None, lambda _: False):
        for groups in (ToolGroup.INTERACTION, ToolGroup.READER):
            model_server.script(reply(text("ok")))
            with desk.agent(tools=groups, on_permission=answers).start_session() as session:
                session.send("go")
            offered = "question" in model_server.requests[-1].tools
            assert offered is bool(answers and groups is ToolGroup.INTERACTION)


def test_subagent_has_no_more_tools_than_its_parent(desk: Desk, model_server: ModelServer) -> None:
    task = {"description": "sub", "prompt": "do it", "subagent_type": "general"}
    model_server.script(reply(call("task", task)), reply(text("below")), reply(text("above")))
    desk.turn(desk.start(tools=ToolGroup.READER | ToolGroup.PARALLEL))
    [below] = [one for one in model_server.requests if one.last_user_text() == "do it"]
    assert set(below.tools) == TOOLS[ToolGroup.READER]


def test_mode_and_groups_both_hold(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("ok")))
    groups = ToolGroup.READER | ToolGroup.WRITER | ToolGroup.EXEC
    desk.turn(desk.start(tools=groups, permissions="read-only"))
    assert set(model_server.requests[-1].tools) == TOOLS[ToolGroup.READER] | NEUTRAL


def test_call_of_a_tool_that_is_not_there_does_nothing(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    command = {"command": "touch made", "description": "touch"}
    model_server.script(reply(call("bash", command)), reply(text("went on")))
    turn = desk.turn(desk.start(tools=ToolGroup.READER, cwd=tmp_path))
    assert turn.result == "went on"
    assert list(tmp_path.iterdir()) == []


def test_agent_works_in_the_additional_folder_and_no_other(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, given, other = (tmp_path / name for name in ("inside", "given", "other"))
    for folder in (inside, given / "deep", other):
        folder.mkdir(parents=True)
    model_server.script(
        reply(_write(given / "deep" / "a")), reply(_write(other / "b")), reply(text("done"))
    )
    session = desk.start(permissions="auto-edit", cwd=inside, additional_dirs=(given,))
    desk.turn(session)
    assert (given / "deep" / "a").read_text() == "made\n"
    assert list(other.iterdir()) == []


def test_folder_that_the_user_forbids_stays_closed(
    own_desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, given = tmp_path / "inside", tmp_path / "given"
    inside.mkdir()
    given.mkdir()
    model_server.script(reply(_write(given / "a")), reply(text("done")))
    session = own_desk.start(
        cwd=inside,
        additional_dirs=(given,),
        options={"config": {"permission": {"external_directory": "deny"}}},
    )
    events = own_desk.ask(session, "go")
    assert list(given.iterdir()) == []
    assert any(str(given) in event.message for event in events if isinstance(event, Notice))


def test_bound_on_model_calls_stops_a_loop(desk: Desk, model_server: ModelServer) -> None:
    command = {"command": "sleep 0.2", "description": "wait"}
    model_server.respond(lambda _: reply(call("bash", command)))
    with desk.agent(max_turns=2).start_session() as session:
        assert session.send("go").stop_reason == "max_turn_requests"
    assert len(model_server.requests) <= 3
