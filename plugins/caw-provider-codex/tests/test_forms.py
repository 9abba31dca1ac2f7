"""The forms of codex's two protocols that a scripted model cannot bring about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import McpServer
from caw_core.events import Notice, PlanUpdated, Retrying, ToolFinished, VendorEvent
from caw_core.permissions import Decision, allow, allow_always, deny
from caw_core.provider import StartRequest
from caw_core.usage import UsageStats
from caw_provider_codex import approvals
from caw_provider_codex.configuration import MARK, thread_config
from caw_provider_codex.exec_decoder import ExecDecoder
from caw_provider_codex.rollout import find_rollout, total_usage, usage_by_turn

if TYPE_CHECKING:
    from caw_core.provider import Permissions


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"id": 7, "method": method, "params": {"threadId": "T", "turnId": "U", **params}}


OLD = "execCommandApproval"
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (allow(), "approved"),
        (allow_always(), "approved_for_session"),
        (deny("not now"), {"denied": {"rejection": "not now"}}),
        (deny(stop=True), "abort"),
    ],
)
def test_older_approvals_carry_the_reason(decision: Decision, said: Any) -> None:
    answer = approvals.answer(message(OLD, command=["ls"]), decision)
    assert answer == {"result": {"decision": said}}


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (allow(arguments={"name": "x"}), {"action": "accept", "content": {"name": "x"}}),
        (allow(), {"action": "decline"}),
        (deny(), {"action": "decline"}),
        (deny(stop=True), {"action": "cancel"}),
    ],
)
def test_form_of_a_server_is_a_question_that_needs_its_answers(
    decision: Decision, said: Any
) -> None:
    asked = message(
        approvals.ELICITATION, serverName="s", mode="form", message="Who?", requestedSchema=FORM
    )
    request = approvals.request_of(asked, {})
    assert (request.tool, request.kind, request.reason) == ("s", "question", "Who?")
    assert request.arguments["requestedSchema"] == FORM
    assert approvals.answer(asked, decision) == {"result": said}


QUESTIONS = [{"id": "a", "question": "First?"}, {"id": "b", "question": "Second?"}]


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ({"a": "x", "b": ["y", 2]}, {"a": {"answers": ["x"]}, "b": {"answers": ["y", "2"]}}),
        ({"First?": "x"}, {"a": {"answers": ["x"]}}),
        ({"answers": {"b": "y"}}, {"b": {"answers": ["y"]}}),
        ({}, {}),
    ],
)
def test_answers_are_found_by_id_and_by_question(given: Any, answers: Any) -> None:
    asked = message(approvals.QUESTION, questions=QUESTIONS)
    said = approvals.answer(asked, allow(arguments=given))
    assert said == {"result": {"answers": answers}}


@pytest.mark.parametrize(
    ("permissions", "command", "question"),
    [
        ("read-only", False, None),
        ("auto-edit", False, None),
        ("full", True, None),
        ("ask", None, None),
    ],
)
def test_a_person_is_asked_only_what_the_permissions_leave_open(
    permissions: Permissions, command: bool | None, question: bool | None
) -> None:
    def decided(method: str) -> bool | None:
        decision = approvals.decide(message(method), permissions)
        return None if decision is None else decision.allowed

    assert decided(approvals.COMMAND) is command
    assert decided(approvals.WIDER) is command
    assert decided(approvals.QUESTION) is question
    assert decided(approvals.ELICITATION) is question


def test_answer_to_wider_permissions_lasts_as_long_as_was_said() -> None:
    asked = message(approvals.WIDER, permissions={"network": {"enabled": True}})
    scopes = [
        approvals.answer(asked, said)["result"].get("scope")
        for said in (
            allow(),
            allow_always(),
            deny(),
        )
    ]
    assert scopes == ["turn", "session", None]


def config_of(config: dict[str, Any], mark: str = "", **changes: Any) -> dict[str, Any]:
    request = StartRequest(session_id="s", cwd=Path("/"), options={"config": config}, **changes)
    made = thread_config(request, mark)
    assert made.pop("tools") == {"update_plan": {"enabled": True}}
    return made


def test_dotted_and_nested_keys_become_one_table() -> None:
    given = {"features": {"a": True}, "features.b": {"c": 1}, "features.b.d": 2, "model": "m"}
    assert config_of(given) == {"features": {"a": True, "b": {"c": 1, "d": 2}}, "model": "m"}
    assert given["features"] == {"a": True}


def test_mark_stands_beside_the_users_own_variables() -> None:
    config = config_of({"shell_environment_policy": {"inherit": "core", "set": {"A": "1"}}}, "m")
    assert config["shell_environment_policy"] == {"inherit": "core", "set": {"A": "1", MARK: "m"}}


def test_given_server_is_added_to_those_of_the_option() -> None:
    server = McpServer(name="b", command="x", args=("y",), env={"K": "v"})
    config = config_of(
        {"mcp_servers": {"a": {"command": "z"}}}, mcp_servers=(server,), permissions="ask"
    )
    assert config["mcp_servers"] == {
        "a": {"command": "z"},
        "b": {"command": "x", "args": ["y"], "env": {"K": "v"}},
    }


def test_trusted_server_needs_no_permission_and_is_offered_at_once() -> None:
    server = McpServer(name="my-b", command="x", trusted=True, call_seconds=90)
    mine = {"features.code_mode": {"direct_only_tool_namespaces": ["mcp__a"]}}
    config = config_of(mine, mcp_servers=(server,), permissions="read-only")
    [settings] = config["mcp_servers"].values()
    assert settings["default_tools_approval_mode"] == "approve"
    assert settings["tool_timeout_sec"] == 90
    direct = {"direct_only_tool_namespaces": ["mcp__a", "mcp__my_b"]}
    assert config["features"] == {"code_mode": direct}


def test_short_form_of_a_feature_stays_with_a_trusted_server() -> None:
    server = McpServer(name="b", command="x", trusted=True)
    config = config_of({"features.code_mode": True}, mcp_servers=(server,))
    direct = {"enabled": True, "direct_only_tool_namespaces": ["mcp__b"]}
    assert config["features"] == {"code_mode": direct}


def test_exec_lines_of_every_kind_become_events() -> None:
    decoder = ExecDecoder(UsageStats())
    todo = {"type": "todo_list", "items": [{"text": "a", "completed": True}, {"text": "b"}]}
    tool = {
        "type": "mcp_tool_call",
        "id": "item_1",
        "server": "s",
        "tool": "t",
        "arguments": {"x": 1},
        "result": {"content": [{"type": "text", "text": "hi"}], "structured_content": {"y": 2}},
        "status": "completed",
    }
    [plan] = decoder.decode({"type": "item.updated", "item": todo})
    assert isinstance(plan, PlanUpdated)
    assert [(entry.text, entry.status) for entry in plan.entries] == [
        ("a", "completed"),
        ("b", "pending"),
    ]
    [done] = decoder.decode({"type": "item.completed", "item": tool})
    assert isinstance(done, ToolFinished)
    assert (done.name, done.output, done.arguments) == ("s.t", "hi", {"x": 1})
    assert done.content[1] == {"type": "structured", "structuredContent": {"y": 2}}
    warning = {"type": "item.completed", "item": {"type": "error", "message": "careful"}}
    assert decoder.decode(warning) == [Notice(message="careful", level="warning")]
    [kept] = decoder.decode({"type": "item.completed", "item": {"type": "dream"}})
    assert isinstance(kept, VendorEvent)
    [kept] = decoder.decode({"type": "sky.changed"})
    assert isinstance(kept, VendorEvent)
    [retry] = decoder.decode({"type": "error", "message": "Reconnecting... 2/5 (cut)"})
    assert isinstance(retry, Retrying)
    assert (retry.attempt, retry.max_attempts) == (2, 5)


def test_damaged_lines_of_a_conversations_file_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "archived_sessions"
    folder.mkdir()
    file = folder / "rollout-2026-01-01T00-00-00-abc.jsonl"
    record = b'{"type":"token_usage_record","payload":{"turn_id":"t","usage":{"input_tokens":5}}}\n'
    file.write_bytes(b"token_usage_record {\n" + record + record + b'{"token_count": \xff')
    assert find_rollout(tmp_path, "abc") == file
    assert find_rollout(tmp_path, "abd") is None
    assert usage_by_turn(file) == {"t": UsageStats(input_tokens=10)}
    assert total_usage(file) == UsageStats()
    assert usage_by_turn(tmp_path / "gone") == {}
