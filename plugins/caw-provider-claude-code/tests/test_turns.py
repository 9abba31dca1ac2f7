"""Turns of the real claude against a scripted model."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import ConfigError
from caw_core.events import (
    FileChanged,
    PlanUpdated,
    RawOutput,
    TextDelta,
    ToolArguments,
    TurnEnded,
    VendorEvent,
)
from caw_testkit.modelserver import Usage, big, call, echo, reply, text, think

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_testkit.modelserver import ModelServer, RecordedRequest

    from .conftest import Desk

pytestmark = pytest.mark.real_claude


def said(events: list[Event]) -> list[str]:
    return [block.text for block in fold(events).output if isinstance(block, TextBlock)]


def test_two_turns_share_one_process_and_conversation(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    pid = session.pid
    assert fold(ask(session, "one")).result == "echo: one"
    assert fold(ask(session, "two")).result == "echo: two"
    assert session.pid == pid
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_text_streams_and_ends_with_the_whole(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("a b c")))
    events = ask(desk.start(), "go")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a ", "b ", "c"]
    assert [block.type for block in fold(events).output] == ["text"]
    assert fold(events).result == "a b c"
    assert events[-1] == TurnEnded(stop_reason="end_turn")


def test_usage_and_cost_of_each_turn_are_what_the_server_counted(
    desk: Desk, model_server: ModelServer
) -> None:
    counted = Usage(input_tokens=100, cached_tokens=40, output_tokens=20)
    model_server.script(reply(call("Bash", {"command": "true"}), usage=counted))
    model_server.script(reply(text("x"), usage=counted), reply(text("y"), usage=counted))
    session = desk.start(model="claude-sonnet-4-5")
    first, second = fold(ask(session, "one")), fold(ask(session, "two"))
    one, two = first.usage, second.usage
    assert (one.input_tokens, one.cache_read_tokens, one.output_tokens) == (120, 80, 40)
    assert (two.input_tokens, two.cache_read_tokens, two.output_tokens) == (60, 40, 20)
    assert one.total_tokens + two.total_tokens == model_server.usage.total_tokens
    assert one.cost_usd == pytest.approx(2 * (two.cost_usd or 0))
    assert (two.cost_source, second.model) == ("reported", "claude-sonnet-4-5")


def test_usage_of_a_subagent_is_counted_once_and_its_text_stays_out(
    desk: Desk, model_server: ModelServer
) -> None:
    def is_sub(request: RecordedRequest) -> bool:
        return "SUB" in request.user_texts()[0] or "SUB" in request.user_texts()[-1]

    model_server.script(
        reply(call("Bash", {"command": "echo hi"}), usage=Usage(input_tokens=7, output_tokens=3)),
        reply(text("sub answer"), usage=Usage(input_tokens=8, output_tokens=2)),
        when=is_sub,
    )
    task = {"description": "d", "prompt": "SUB", "subagent_type": "general-purpose"}
    model_server.script(reply(call("Agent", task)), reply(text("main answer")))
    events = ask(desk.start(), "MAIN")
    turn = fold(events)
    assert turn.usage.total_tokens == model_server.usage.total_tokens
    assert [(block.type, getattr(block, "name", "")) for block in turn.output] == [
        ("tool_use", "Agent"),
        ("text", ""),
    ]
    [use] = turn.tool_calls
    assert use.output.startswith("sub answer")
    inner = [event for event in events if isinstance(event, VendorEvent) and event.extra]
    assert {event.extra["parent_call_id"] for event in inner} == {use.id}


def test_thinking_is_kept(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(think("Let me see."), text("Seen.")))
    turn = fold(ask(desk.start(), "go"))
    assert [block.type for block in turn.output] == ["thinking", "text"]


def test_command_has_its_output(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("Bash", {"command": "printf abc"})), reply(text("done")))
    events = ask(desk.start(), "go")
    [use] = fold(events).tool_calls
    assert (use.name, use.output, use.status) == ("Bash", "abc", "completed")
    assert use.arguments == {"command": "printf abc"}
    assert use.extra["tool_use_result"]["stdout"] == "abc"
    assert any(isinstance(event, ToolArguments) for event in events)


def test_failed_command_is_an_error_with_its_output(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("Bash", {"command": "printf abc; exit 3"})), reply(text("x")))
    [use] = fold(ask(desk.start(), "go")).tool_calls
    assert (use.output, use.is_error, use.status) == ("Exit code 3\nabc", True, "failed")


def test_file_changes_have_their_real_diff(desk: Desk, model_server: ModelServer) -> None:
    path = str(desk.home.cwd / "new.txt")
    model_server.script(
        reply(call("Write", {"file_path": path, "content": "hello\nworld\n"})),
        reply(call("Edit", {"file_path": path, "old_string": "hello", "new_string": "bye"})),
        reply(text("done")),
    )
    events = ask(desk.start(), "go")
    changes = [event for event in events if isinstance(event, FileChanged)]
    assert [(change.path, change.kind) for change in changes] == [(path, "add"), (path, "update")]
    assert changes[0].diff == "hello\nworld\n"
    assert changes[1].diff == "@@ -1,2 +1,2 @@\n-hello\n+bye\n world\n"
    assert "originalFile" not in fold(events).tool_calls[1].extra["tool_use_result"]
    assert (desk.home.cwd / "new.txt").read_text() == "bye\nworld\n"


def test_notebook_change_has_a_diff(desk: Desk, model_server: ModelServer) -> None:
    cell: dict[str, Any] = {"cell_type": "code", "id": "c1", "metadata": {}, "source": "old"}
    cell |= {"outputs": [], "execution_count": None}
    path = desk.home.cwd / "n.ipynb"
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book))
    edit = {"notebook_path": str(path), "cell_id": "c1", "new_source": "new"}
    model_server.script(reply(call("Read", {"file_path": str(path)})))
    model_server.script(reply(call("NotebookEdit", edit)), reply(text("done")))
    events = ask(desk.start(), "go")
    [change] = [event for event in events if isinstance(event, FileChanged)]
    assert (change.path, change.kind) == (str(path), "update")
    assert '+   "source": "new"' in change.diff


def test_image_result_is_kept_as_it_was_sent(desk: Desk, model_server: ModelServer) -> None:
    pixel = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg=="
    )
    path = desk.home.cwd / "dot.png"
    path.write_bytes(base64.b64decode(pixel))
    model_server.script(reply(call("Read", {"file_path": str(path)})), reply(text("seen")))
    [use] = fold(ask(desk.start(), "go")).tool_calls
    [image] = use.content
    assert image["type"] == "image"
    assert image["source"]["media_type"].startswith("image/")
    assert image["source"]["data"]


def test_task_list_is_the_plan(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(
        reply(call("TaskCreate", {"subject": "first", "description": "d"})),
        reply(call("TaskCreate", {"subject": "second", "description": "d"})),
        reply(call("TaskUpdate", {"taskId": "1", "status": "in_progress"})),
        reply(text("done")),
    )
    plan = fold(ask(desk.start(), "go")).plan
    assert [(step.text, step.status) for step in plan] == [
        ("first", "in_progress"),
        ("second", "pending"),
    ]


def test_todo_list_is_the_plan(desk: Desk, model_server: ModelServer) -> None:
    todo = {"content": "look", "status": "in_progress", "activeForm": "Looking"}
    model_server.script(reply(call("TodoWrite", {"todos": [todo]})), reply(text("done")))
    events = ask(desk.start(env={"CLAUDE_CODE_ENABLE_TASKS": "0"}), "go")
    [plan] = [event for event in events if isinstance(event, PlanUpdated)]
    assert [(step.text, step.status) for step in plan.entries] == [("look", "in_progress")]


@pytest.mark.parametrize(
    "prompt",
    [
        "/help me",
        "/clear",
        "look at @secret.txt please",
        "@secret.txt",
        '@"secret.txt"',
        "  /init @./secret.txt $HOME \u2028 ü \U0001f600\n\ttail  ",
        "ultrathink",
    ],
)
def test_prompt_reaches_the_model_verbatim(
    desk: Desk, model_server: ModelServer, prompt: str
) -> None:
    (desk.home.cwd / "secret.txt").write_text("TOP-SECRET\n")
    model_server.respond(echo)
    session = desk.start()
    ask(session, "first")
    assert fold(ask(session, prompt)).result == f"echo: {prompt}"
    [request] = model_server.requests[1:]
    assert request.last_user_text() == prompt
    assert "TOP-SECRET" not in json.dumps(request.body)


def test_prompt_that_is_no_unicode_is_refused_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    with pytest.raises(ConfigError, match="surrogate"):
        ask(session, "\ud800")
    assert fold(ask(session, "two")).result == "echo: two"


def test_large_prompt_and_answer_are_complete(desk: Desk, model_server: ModelServer) -> None:
    answer = big(2_000_000)
    model_server.script(reply(answer))
    assert fold(ask(desk.start(), big(500_000).text)).result == answer.text
    assert model_server.requests[0].last_user_text() == big(500_000).text


def test_raw_lines_come_only_when_asked_for(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    plain, raw = ask(desk.start(), "a"), ask(desk.start(keep_raw=True), "a")
    assert not any(isinstance(event, RawOutput) for event in plain)
    lines = [event.line for event in raw if isinstance(event, RawOutput)]
    assert json.loads(lines[-1])["type"] == "result"


def test_model_effort_and_bound_reach_the_service(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    ask(desk.start(model="claude-opus-4-5", reasoning="low", max_tokens=1234), "go")
    body = model_server.requests[-1].body
    assert (body["model"], body["max_tokens"]) == ("claude-opus-4-5", 1234)
    assert body["output_config"]["effort"] == "low"


def test_unknown_effort_is_refused_before_the_first_turn(desk: Desk) -> None:
    with pytest.raises(ConfigError, match=r"banana.*high"):
        desk.start(reasoning="banana")


def test_answer_without_end_stops_with_max_tokens(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(*[reply(text("cut"), stop="max_tokens")] * 4)
    events = ask(desk.start(max_tokens=50), "go")
    assert events[-1] == TurnEnded(stop_reason="max_tokens")
    assert said(events) == ["cut"] * 4


def test_refusal_is_a_stop_reason(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("no"), stop="refusal"))
    events = ask(desk.start(), "go")
    assert events[-1] == TurnEnded(stop_reason="refusal")
    assert fold(events).result == "no"


def test_turn_ends_after_max_turns_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("Bash", {"command": "true"})))
    session = desk.start(max_turns=1)
    assert ask(session, "go")[-1] == TurnEnded(stop_reason="max_turn_requests")
    model_server.script(reply(text("fine")))
    assert fold(ask(session, "go")).result == "fine"
