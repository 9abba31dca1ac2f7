"""What each permission mode lets the real opencode do."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import McpServer
from caw_provider_opencode.permissions import Leave, last_action, session_rules
from caw_provider_opencode.tool_servers import given
from caw_testkit.modelserver import call, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

real = pytest.mark.real_opencode

DEFAULTS = [
    {"permission": "*", "pattern": "*", "action": "allow"},
    {"permission": "external_directory", "pattern": "*", "action": "ask"},
    {"permission": "external_directory", "pattern": "/data/tool-output/*", "action": "allow"},
    {"permission": "read", "pattern": "*.env", "action": "ask"},
]


def _write(file: Path) -> Any:
    return call("write", {"filePath": str(file), "content": "made\n"})


def _touch(file: Path) -> Any:
    return call("bash", {"command": f"touch '{file}'", "description": "touch"})


def _outcome(rules: list[dict[str, Any]], permission: str, pattern: str) -> str:
    return last_action(rules, permission, pattern)


def _rules(mode: Any, own_folder: str = "", **leave: Any) -> list[dict[str, Any]]:
    return session_rules(DEFAULTS, Leave(permissions=mode, **leave), own_folder)


@pytest.mark.parametrize("mode", ["read-only", "ask", "auto-edit"])
@pytest.mark.parametrize("tool", ["bash", "webfetch", "task", "server_tool", "question"])
def test_what_a_mode_does_not_name_is_denied(mode: Any, tool: str) -> None:
    assert _outcome(_rules(mode), tool, "x") == "deny"


@pytest.mark.parametrize(
    ("mode", "action"), [("read-only", "deny"), ("ask", "deny"), ("auto-edit", "allow")]
)
def test_edits_are_allowed_where_the_mode_says_so(mode: Any, action: str) -> None:
    assert _outcome(_rules(mode), "edit", "a.txt") == action


@pytest.mark.parametrize("mode", ["read-only", "ask", "auto-edit"])
def test_tools_of_a_trusted_server_are_allowed(mode: Any) -> None:
    rules = _rules(mode, servers=("own", "other"), trusted=("own",))
    assert _outcome(rules, "own_*", "x") == "allow"
    assert _outcome(rules, "other_*", "x") == ("allow" if mode == "auto-edit" else "deny")


def test_call_seconds_are_opencodes_timeout() -> None:
    server = McpServer(name="own", url="http://127.0.0.1:1/", call_seconds=90)
    [(_, settings)] = given([server])
    assert json.loads(settings)["timeout"] == 90_000


def test_rules_of_the_user_are_never_widened() -> None:
    mine = [
        *DEFAULTS,
        {"permission": "edit", "pattern": "*", "action": "deny"},
        {"permission": "bash", "pattern": "rm *", "action": "deny"},
    ]
    assert (
        _outcome(session_rules(mine, Leave(permissions="auto-edit"), ""), "edit", "a.txt") == "deny"
    )
    assert _outcome(session_rules(mine, Leave(permissions="full"), ""), "bash", "rm x") == "deny"
    assert (
        _outcome(session_rules(mine, Leave(permissions="read-only"), ""), "read", "a.env") == "deny"
    )
    assert _outcome(session_rules(mine, Leave(permissions="full"), ""), "read", "a.env") == "ask"


def test_only_opencodes_own_folder_is_open_besides() -> None:
    rules = _rules("read-only", "/data")
    assert _outcome(rules, "external_directory", "/etc/*") == "deny"
    assert _outcome(rules, "external_directory", "/data/tool-output/x") == "allow"


@real
@pytest.mark.parametrize("mode", ["read-only", "ask", "auto-edit"])
def test_tools_that_a_mode_forbids_are_not_offered(
    desk: Desk, model_server: ModelServer, mode: str
) -> None:
    model_server.script(reply(text("ok")))
    desk.turn(desk.start(permissions=mode))
    reading = {"glob", "grep", "read", "skill", "todowrite"}
    editing = {"edit", "write"} if mode == "auto-edit" else set()
    assert set(model_server.requests[-1].tools) == reading | editing


@real
@pytest.mark.parametrize("mode", ["read-only", "ask"])
def test_nothing_is_changed_without_leave(
    desk: Desk, model_server: ModelServer, tmp_path: Path, mode: str
) -> None:
    model_server.script(
        reply(_touch(tmp_path / "a"), _write(tmp_path / "b")),
        reply(text("went on")),
    )
    turn = desk.turn(desk.start(permissions=mode, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert all(use.is_error for use in turn.tool_calls)
    assert turn.result == "went on"


@real
def test_auto_edit_writes_in_its_folder_and_nowhere_else(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    model_server.script(
        reply(_write(inside / "a")),
        reply(_write(outside / "b")),
        reply(_touch(inside / "c")),
        reply(text("went on")),
    )
    turn = desk.turn(desk.start(permissions="auto-edit", cwd=inside))
    assert [path.name for path in inside.iterdir()] == ["a"]
    assert list(outside.iterdir()) == []
    assert [use.status for use in turn.tool_calls][:2] == ["completed", "declined"]
    assert turn.result == "went on"


@real
def test_full_says_yes_to_what_the_user_would_be_asked(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    model_server.script(reply(_write(outside / "b")), reply(text("done")))
    turn = desk.turn(desk.start(cwd=inside))
    assert (outside / "b").read_text() == "made\n"
    assert [use.status for use in turn.tool_calls] == ["completed"]


@real
def test_denials_of_the_users_configuration_hold_under_full(
    own_desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(_touch(tmp_path / "a")), reply(text("went on")))
    config = {"permission": {"bash": {"*": "allow", "touch *": "deny"}}}
    turn = own_desk.turn(own_desk.start(cwd=tmp_path, options={"config": config}))
    assert list(tmp_path.iterdir()) == []
    assert [use.status for use in turn.tool_calls] == ["declined"]
    assert turn.result == "went on"


@real
def test_subagent_can_do_no_more_than_its_parent(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    task = {"description": "sub", "prompt": "do it", "subagent_type": "general"}
    model_server.script(reply(call("task", task)), reply(text("went on")))
    turn = desk.turn(desk.start(permissions="auto-edit", cwd=tmp_path))
    assert [use.is_error for use in turn.tool_calls] == [True]


@real
def test_permissions_of_a_resumed_session_are_those_asked_for_now(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    first = desk.start(cwd=tmp_path)
    model_server.script(reply(_write(tmp_path / "a")), reply(text("done")))
    desk.turn(first)
    first.close()
    for mode, made in (("read-only", False), ("full", True), ("ask", False)):
        session = desk.resume(first.resume_key, cwd=tmp_path, permissions=mode)
        model_server.script(reply(_write(tmp_path / mode)), reply(text("done")))
        desk.turn(session)
        assert (tmp_path / mode).exists() is made
        session.close()


@real
def test_question_that_nobody_can_answer_does_not_end_the_turn(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    question = {"question": "Q?", "header": "h", "options": [{"label": "A", "description": "a"}]}
    model_server.script(reply(call("question", {"questions": [question]})), reply(text("went on")))
    assert desk.turn(desk.start(cwd=tmp_path)).result == "went on"
