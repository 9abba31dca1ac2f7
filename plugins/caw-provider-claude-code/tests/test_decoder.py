"""The decoder: lines in, events out, without any program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.events import (
    Event,
    FileChanged,
    Notice,
    PlanUpdated,
    TextDone,
    ToolFinished,
    ToolStarted,
    VendorEvent,
)
from caw_core.fold import TurnFold
from caw_provider_claude_code.decoder import TurnDecoder
from caw_provider_claude_code.plan import Plan
from caw_provider_claude_code.usage import Meter

if TYPE_CHECKING:
    from caw_core.trajectory import Turn


def decoder() -> TurnDecoder:
    return TurnDecoder(meter=Meter(), plan=Plan(), model="m")


def stream(**event: Any) -> dict[str, Any]:
    return {"type": "stream_event", "event": event, "parent_tool_use_id": None}


def begin(message_id: str) -> dict[str, Any]:
    return stream(type="message_start", message={"id": message_id})


def block(index: int, **content: Any) -> dict[str, Any]:
    return stream(type="content_block_start", index=index, content_block=content)


def delta(index: int, **change: Any) -> dict[str, Any]:
    return stream(type="content_block_delta", index=index, delta=change)


def whole(message_id: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {"id": message_id, "model": "m", "content": list(content)}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def tool_result(call_id: str, content: Any, structured: Any = None) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    message = {"role": "user", "content": [result]}
    return {"type": "user", "message": message, "tool_use_result": structured}


def result(**facts: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, **facts}


SAID = {"type": "text", "text": "hi there"}


def decode(*messages: dict[str, Any]) -> list[Event]:
    used = decoder()
    return [event for message in messages for event in used.feed(json.dumps(message).encode())]


def fold(events: list[Event]) -> Turn:
    turn = TurnFold(index=0, prompt="")
    for event in events:
        turn.add(event)
    return turn.turn()


def texts(events: list[Event]) -> list[str]:
    return [getattr(part, "text", "") for part in fold(events).output]


def test_deltas_and_the_whole_are_one_text() -> None:
    events = decode(
        begin("a"),
        block(0, type="text", text=""),
        delta(0, type="text_delta", text="hi "),
        delta(0, type="text_delta", text="ther"),
        whole("a", SAID),
    )
    assert [event.type for event in events] == ["text_delta", "text_delta", "text_done"]
    assert texts(events) == ["hi there"]


def test_two_texts_of_a_message_stay_two() -> None:
    other = {"type": "text", "text": "more"}
    events = decode(
        begin("a"),
        block(0, type="text", text=""),
        delta(0, type="text_delta", text="hi"),
        whole("a", SAID),
        block(1, type="text", text=""),
        delta(1, type="text_delta", text="mo"),
        whole("a", other),
    )
    assert texts(events) == ["hi there", "more"]


def test_text_that_never_became_whole_vanishes_when_another_message_comes() -> None:
    late = stream(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "z"})
    events = decode(
        begin("a"),
        block(0, type="text", text=""),
        delta(0, type="text_delta", text="half"),
        whole("b", SAID),
        late,
        begin("c"),
        block(0, type="text", text=""),
        delta(0, type="text_delta", text="end"),
        whole("c", {"type": "text", "text": "end"}),
    )
    assert texts(events) == ["hi there", "end"]


def test_text_that_was_cut_off_at_the_end_stays() -> None:
    events = decode(
        begin("a"),
        block(0, type="text", text=""),
        delta(0, type="text_delta", text="half"),
        result(is_error=True),
    )
    assert texts(events) == ["half"]


def test_call_that_was_cut_off_never_ran() -> None:
    events = decode(
        begin("a"),
        block(0, type="tool_use", id="c1", name="Bash"),
        delta(0, type="input_json_delta", partial_json='{"comm'),
        whole("b", {"type": "tool_use", "id": "c2", "name": "Bash", "input": {"command": "ls"}}),
        tool_result("c2", "files"),
    )
    first, second = fold(events).tool_calls
    assert (first.id, first.status, first.is_error) == ("c1", "declined", True)
    assert (second.arguments, second.output, second.status) == (
        {"command": "ls"},
        "files",
        "completed",
    )


def test_streamed_call_starts_once_and_ends_with_its_arguments() -> None:
    events = decode(
        begin("a"),
        block(0, type="tool_use", id="c1", name="Edit"),
        delta(0, type="input_json_delta", partial_json='{"a": 1}'),
        whole("a", {"type": "tool_use", "id": "c1", "name": "Edit", "input": {"a": 1, "b": 2}}),
        tool_result("c1", "ok"),
    )
    assert sum(isinstance(event, ToolStarted) for event in events) == 1
    assert fold(events).tool_calls[0].arguments == {"a": 1, "b": 2}


def test_parts_of_a_result_are_kept_as_they_came() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": {"type": "base64", "data": "AA=="}},
        {"type": "text", "text": "two"},
    ]
    use = {"type": "tool_use", "id": "c1", "name": "mcp__files__read_it", "input": {}}
    [ended] = [
        event
        for event in decode(whole("a", use), tool_result("c1", parts))
        if isinstance(event, ToolFinished)
    ]
    assert (ended.output, ended.content) == ("one\ntwo", tuple(parts))
    turn = fold(decode(whole("a", use)))
    assert turn.tool_calls[0].name == "files.read_it"


def test_error_of_the_service_is_no_text() -> None:
    said = {"type": "text", "text": "API Error: 500"}
    events = decode(whole("a", said, error="server_error"))
    assert texts(events) == []
    assert [event.type for event in events] == ["vendor"]


def test_lines_of_a_subagent_name_their_parent() -> None:
    [event] = decode({**whole("a", SAID), "parent_tool_use_id": "c1"})
    assert isinstance(event, VendorEvent)
    assert event.extra == {"parent_call_id": "c1"}


def test_task_without_a_known_beginning_is_no_plan() -> None:
    use = {"type": "tool_use", "id": "c", "name": "TaskUpdate", "input": {"taskId": "7"}}
    assert fold(decode(whole("a", use), tool_result("c", "ok", {"success": True}))).plan == ()


def tool(name: str, arguments: dict[str, Any], structured: Any) -> list[dict[str, Any]]:
    call_id = f"{name}{arguments}"
    use = {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
    return [whole("a", use), tool_result(call_id, "ok", structured)]


def test_plan_follows_its_tasks() -> None:
    created = tool("TaskCreate", {}, {"task": {"id": "1", "subject": "one"}})
    tasks = [{"id": "1", "subject": "one", "status": "completed"}, {"id": "2", "subject": "two"}]
    listed = tool("TaskList", {}, {"tasks": tasks})
    deleted = tool("TaskUpdate", {"taskId": "1", "status": "deleted"}, {"success": True})
    again = tool("TaskList", {}, {"tasks": tasks[1:]})
    nothing = tool("TaskCreate", {}, None)
    events = decode(*created, *listed, *deleted, *again, *nothing)
    plans = [event.entries for event in events if isinstance(event, PlanUpdated)]
    assert [[(step.text, step.status) for step in plan] for plan in plans] == [
        [("one", "pending")],
        [("one", "completed"), ("two", "pending")],
        [("two", "pending")],
    ]


def test_failed_edit_changed_no_file() -> None:
    use = {"type": "tool_use", "id": "c", "name": "Edit", "input": {}}
    line = tool_result("c", "no", "Error: no")
    line["message"]["content"][0]["is_error"] = True
    events = decode(whole("a", use), line)
    assert not any(isinstance(event, FileChanged) for event in events)
    assert fold(events).tool_calls[0].status == "failed"


def test_denial_by_a_rule_is_told_and_the_call_is_declined() -> None:
    denied = {"type": "system", "subtype": "permission_denied", "tool_use_id": "c"}
    use = {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}
    line = tool_result("c", "no")
    line["message"]["content"][0]["is_error"] = True
    denial = {**denied, "tool_name": "mcp__s__t", "message": "a rule"}
    events = decode(whole("a", use), denial, line)
    [notice] = [event for event in events if isinstance(event, Notice)]
    assert (notice.message, notice.level) == ("claude may not use s.t: a rule", "warning")
    assert fold(events).tool_calls[0].status == "declined"


def test_words_that_claude_puts_in_itself_are_no_answer() -> None:
    message = whole("a", SAID)
    message["message"]["model"] = "<synthetic>"
    assert texts(decode(message)) == []


@pytest.mark.parametrize("line", [b"null", b"[1]", b"7", b"", b"[SandboxDebug] x", b"\xff{", b"{}"])
def test_line_that_says_nothing_is_kept(line: bytes) -> None:
    [event] = decoder().feed(line)
    assert isinstance(event, VendorEvent)


def test_empty_text_leaves_no_block() -> None:
    assert decode(whole("a", {"type": "text", "text": ""})) == []


def test_text_without_stream_is_whole() -> None:
    [event] = decode(whole("a", SAID))
    assert event == TextDone(text="hi there", block_id="a:whole-0")


NAMES = [
    "type",
    "subtype",
    "message",
    "event",
    "content",
    "id",
    "delta",
    "index",
    "uuid",
    "content_block",
    "tool_use_result",
    "modelUsage",
    "usage",
    "origin",
    "isReplay",
    "tool_use_id",
    "name",
    "input",
    "text",
    "file",
    "structuredPatch",
    "filePath",
]
WORDS = [
    "assistant",
    "user",
    "result",
    "stream_event",
    "system",
    "init",
    "api_retry",
    "content_block_start",
    "text",
    "thinking",
    "content_block_delta",
    "message_start",
    "tool_use",
    "tool_result",
    "text_delta",
    "TaskCreate",
    "Edit",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), inner | st.sampled_from(WORDS), max_size=6)
    ),
    max_leaves=25,
)


@given(st.lists(JUNK, max_size=6))
def test_no_json_breaks_the_decoder(messages: list[Any]) -> None:
    used = decoder()
    for message in messages:
        for event in used.feed(json.dumps(message).encode()):
            assert isinstance(event, Event)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(line: bytes) -> None:
    assert all(isinstance(event, Event) for event in decoder().feed(line))
