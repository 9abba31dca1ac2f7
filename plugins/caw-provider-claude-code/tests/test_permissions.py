"""What the agent may do, checked by what it did and by what the model was offered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import ConfigError
from caw_core.events import Notice
from caw_core.permissions import PermissionDesk
from caw_provider_claude_code.asking import Asking
from caw_provider_claude_code.control import Ask
from caw_testkit.modelserver import call, echo, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

RUN = {"command": 'python3 -c \'open("run.txt", "w")\''}


def write_to(path: Path) -> dict[str, str]:
    return {"file_path": str(path), "content": "written"}


def test_read_only_offers_nothing_that_writes_or_runs(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    ask(desk.start(permissions="read-only"), "go")
    # Newer versions put a tool without any function into an otherwise short list.
    offered = set(model_server.requests[-1].tools) - {"DeferredToolPlaceholder"}
    tasks = {"TaskCreate", "TaskGet", "TaskList", "TaskUpdate"}
    assert offered == {"Read", "Glob", "Grep", *tasks}


def test_read_only_reads_and_neither_writes_nor_runs(desk: Desk, model_server: ModelServer) -> None:
    (desk.home.cwd / "a.txt").write_text("content")
    target = desk.home.cwd / "new.txt"
    model_server.script(
        reply(call("Read", {"file_path": str(desk.home.cwd / "a.txt")})),
        reply(call("Write", write_to(target)), call("Bash", RUN)),
        reply(text("done")),
    )
    turn = fold(ask(desk.start(permissions="read-only"), "go"))
    assert [use.is_error for use in turn.tool_calls] == [False, True, True]
    assert "content" in turn.tool_calls[0].output
    assert not target.exists()
    assert not (desk.home.cwd / "run.txt").exists()


def test_read_only_is_not_widened_by_settings_of_the_folder(
    desk: Desk, model_server: ModelServer
) -> None:
    settings = desk.home.cwd / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(
        '{"permissions": {"allow": ["Bash", "Write", "Edit"], "defaultMode": "bypassPermissions"}}'
    )
    target = desk.home.cwd / "new.txt"
    model_server.script(reply(call("Write", write_to(target)), call("Bash", RUN)))
    model_server.script(reply(text("done")))
    turn = fold(ask(desk.start(permissions="read-only"), "go"))
    assert all(use.is_error for use in turn.tool_calls)
    assert not target.exists()


def test_ask_says_no_where_nobody_can_be_asked(desk: Desk, model_server: ModelServer) -> None:
    target = desk.home.cwd / "new.txt"
    model_server.script(reply(call("Write", write_to(target)), call("Bash", RUN)))
    model_server.script(reply(text("done")))
    events = ask(desk.start(permissions="ask"), "go")
    turn = fold(events)
    assert [use.status for use in turn.tool_calls] == ["declined", "declined"]
    assert "nobody can be asked" in turn.tool_calls[0].output
    assert turn.result == "done"
    assert not target.exists()
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert [notice.split(":")[0] for notice in notices] == [
        "claude asked and was told no (Write",
        "claude asked and was told no (Bash",
    ]


def test_auto_edit_writes_in_its_folder_and_neither_runs_nor_leaves_it(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, outside = desk.home.cwd / "new.txt", tmp_path / "out.txt"
    model_server.script(
        reply(call("Write", write_to(inside)), call("Write", write_to(outside)), call("Bash", RUN)),
        reply(text("done")),
    )
    turn = fold(ask(desk.start(permissions="auto-edit"), "go"))
    assert [use.status for use in turn.tool_calls] == ["completed", "declined", "declined"]
    assert inside.read_text() == "written"
    assert not outside.exists()
    assert not (desk.home.cwd / "run.txt").exists()


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [("ask", ["completed", "declined"]), ("auto-edit", ["completed", "completed"])],
)
def test_plain_file_commands_count_as_what_they_do(
    desk: Desk, model_server: ModelServer, permissions: str, statuses: list[str]
) -> None:
    model_server.script(
        reply(call("Bash", {"command": "ls"}), call("Bash", {"command": "mkdir d"}))
    )
    model_server.script(reply(text("done")))
    turn = fold(ask(desk.start(permissions=permissions), "go"))
    assert [use.status for use in turn.tool_calls] == statuses


@pytest.mark.parametrize(
    ("request_", "answered", "told"),
    [
        ({"subtype": "can_use_tool", "tool_name": "mcp__a__b"}, "deny", ["a.b"]),
        ({"subtype": "hook_callback", "callback_id": "h"}, "success", []),
        ({"subtype": "something_new"}, "error", []),
    ],
)
def test_every_request_is_answered_without_widening(
    request_: dict[str, str], answered: str, told: list[str]
) -> None:
    answers: list[dict[str, Any]] = []
    declined: list[str] = []
    asking = Asking(PermissionDesk(None), "full", lambda call_id, what: declined.append(what))
    asking.take(Ask(request_, lambda given: answers.append(given) is None))
    assert declined == told
    [given] = answers
    assert given.get("response", {}).get("behavior", given["subtype"]) == answered


def test_additional_folder_may_be_written(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    model_server.script(reply(call("Write", write_to(more / "new.txt"))), reply(text("done")))
    ask(desk.start(permissions="auto-edit", additional_dirs=(more,)), "go")
    assert (more / "new.txt").read_text() == "written"


def test_tools_that_wait_for_a_person_are_not_offered(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    ask(desk.start(permissions="full"), "go")
    offered = set(model_server.requests[-1].tools)
    assert "Bash" in offered
    assert not offered & {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"}


@pytest.mark.skipif(os.geteuid() != 0, reason="claude refuses only root")
def test_full_as_root_outside_a_sandbox_is_refused_before_the_start(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="IS_SANDBOX"):
        desk.start(permissions="full", env={"IS_SANDBOX": None})


def test_settings_files_can_be_left_out(desk: Desk, model_server: ModelServer) -> None:
    desk.home.config.write_text('{"permissions": {"allow": ["Bash(python3:*)"]}}')
    cases: list[tuple[dict[str, list[str]], str]] = [
        ({}, "completed"),
        ({"settings_sources": []}, "declined"),
    ]
    for options, status in cases:
        model_server.script(reply(call("Bash", RUN)), reply(text("done")))
        turn = fold(ask(desk.start(permissions="ask", options=options), "go"))
        assert turn.tool_calls[0].status == status
