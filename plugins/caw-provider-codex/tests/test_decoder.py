"""Lines in, events out. The lines were recorded from codex 0.169.0, ids shortened."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.events import (
    Event,
    FileChanged,
    ImageDone,
    Notice,
    PlanUpdated,
    Retrying,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UsageReported,
    VendorEvent,
)
from caw_core.trajectory import PlanEntry
from caw_core.usage import UsageStats
from caw_provider_codex.decoder import TurnDecoder
from caw_provider_codex.items import _FINISHERS


def decode(method: str, **params: Any) -> list[Event]:
    decoder = TurnDecoder("T", model="m", turn_id="U")
    params = {"threadId": "T", "turnId": "U", **params}
    return decoder.feed(json.dumps({"method": method, "params": params}).encode())


def completed(**item: Any) -> list[Event]:
    return decode("item/completed", item=item)


def test_command_becomes_a_call_and_its_result() -> None:
    decoder = TurnDecoder("T", turn_id="U")
    started = decoder.feed(
        b'{"method":"item/started","params":{"item":{"type":"commandExecution","id":"call_1",'
        b'"pluginId":null,"scriptPath":null,"command":"/bin/bash -lc \'printf abc; exit 3\'",'
        b'"cwd":"/w","processId":"42528","source":"unifiedExecStartup","status":"inProgress",'
        b'"commandActions":[{"type":"unknown","command":"printf abc; exit 3"}],'
        b'"aggregatedOutput":null,"exitCode":null,"durationMs":null,"startedAtMs":1795248861128,'
        b'"completedAtMs":null},"threadId":"T","turnId":"U","startedAtMs":1795248861128},'
        b'"emittedAtMs":1795248861129}'
    )
    arguments = {"command": "/bin/bash -lc 'printf abc; exit 3'", "cwd": "/w"}
    assert started == [
        ToolStarted(call_id="call_1", name="command_execution", arguments=arguments),
    ]
    output = decoder.feed(
        b'{"method":"item/commandExecution/outputDelta","params":{"threadId":"T","turnId":"U",'
        b'"itemId":"call_1","delta":"b\\n"},"emittedAtMs":1795248861874}'
    )
    assert output == [ToolOutput(call_id="call_1", delta="b\n")]
    finished = decoder.feed(
        b'{"method":"item/completed","params":{"item":{"type":"commandExecution","id":"call_1",'
        b'"command":"/bin/bash -lc \'printf abc; exit 3\'","cwd":"/w","status":"failed",'
        b'"aggregatedOutput":"abc","exitCode":3,"durationMs":5},"threadId":"T","turnId":"U"}}'
    )
    assert finished == [
        ToolFinished(
            call_id="call_1",
            name="command_execution",
            arguments=arguments,
            output="abc",
            is_error=True,
            status="failed",
            content=({"type": "exit_code", "exit_code": 3},),
            duration_ms=5,
        ),
    ]


def test_declined_command_is_declined() -> None:
    [event] = completed(type="commandExecution", id="c", command="x", cwd="/", status="declined")
    assert isinstance(event, ToolFinished)
    assert (event.status, event.is_error, event.content) == ("declined", True, ())


def test_file_change_names_each_file() -> None:
    changes = [
        {"path": "/w/a", "kind": {"type": "add"}, "diff": "hello\n"},
        {"path": "/w/b", "kind": {"type": "update", "move_path": "/w/c"}, "diff": "@@ -1 +1 @@"},
    ]
    result, added, moved = completed(type="fileChange", id="c", changes=changes, status="completed")
    assert isinstance(result, ToolFinished)
    assert result.output == "hello\n\n@@ -1 +1 @@"
    assert result.arguments == {
        "changes": [
            {"path": "/w/a", "kind": "add"},
            {"path": "/w/b", "kind": "update", "move_path": "/w/c"},
        ],
    }
    assert added == FileChanged(path="/w/a", kind="add", diff="hello\n", call_id="c")
    assert isinstance(moved, FileChanged)
    assert moved.extra == {"move_path": "/w/c"}


def test_declined_file_change_changes_no_file() -> None:
    changes = [{"path": "/w/a", "kind": {"type": "add"}, "diff": "x"}]
    [event] = completed(type="fileChange", id="c", changes=changes, status="declined")
    assert isinstance(event, ToolFinished)


def test_mcp_result_is_kept_as_it_was_sent() -> None:
    image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    content = [{"type": "text", "text": '{"a": 1.0}'}, image, {"type": "text", "text": "two"}]
    [event] = completed(
        type="mcpToolCall",
        id="c",
        server="st",
        tool="add",
        arguments={"a": 1},
        status="completed",
        durationMs=3,
        result={"content": content, "structuredContent": {"sum": 1}},
    )
    assert isinstance(event, ToolFinished)
    assert (event.name, event.arguments) == ("st.add", {"a": 1})
    assert event.output == '{"a": 1.0}\ntwo'
    structured = {"type": "structured", "structuredContent": {"sum": 1}}
    assert event.content == (*content, structured)


def test_mcp_error_is_an_error() -> None:
    [event] = completed(
        type="mcpToolCall",
        id="c",
        server="st",
        tool="add",
        arguments=[1],
        status="failed",
        error={"message": "no"},
    )
    assert isinstance(event, ToolFinished)
    assert (event.is_error, event.output, event.arguments) == (True, "no", {"value": [1]})


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"type": "webSearch", "query": "q", "action": {"type": "search"}}, "web_search"),
        ({"type": "imageView", "path": "/p"}, "view_image"),
        ({"type": "sleep", "durationMs": 5}, "sleep"),
        ({"type": "dynamicToolCall", "namespace": "n", "tool": "t", "arguments": {}}, "n.t"),
        (
            {"type": "collabAgentToolCall", "tool": "spawnAgent", "status": "completed"},
            "spawnAgent",
        ),
    ],
)
def test_every_kind_of_call_has_a_name_and_an_end(item: dict[str, Any], name: str) -> None:
    [start] = decode("item/started", item={"id": "c", **item})
    [end] = completed(id="c", **item)
    assert isinstance(start, ToolStarted)
    assert isinstance(end, ToolFinished)
    assert (start.name, end.name, end.call_id, end.status) == (name, name, "c", "completed")


def test_reasoning_summary_parts_stand_apart() -> None:
    decoder = TurnDecoder("T", turn_id="U")
    seen = []
    for index, delta in ((0, "one"), (1, "two")):
        params: dict[str, Any] = {"threadId": "T", "turnId": "U", "itemId": "r", "delta": delta}
        params["summaryIndex"] = index
        message = {"method": "item/reasoning/summaryTextDelta", "params": params}
        seen += decoder.decode(message)
    assert "".join(e.text for e in seen if isinstance(e, ThinkingDelta)) == "one\n\ntwo"
    done = completed(type="reasoning", id="r", summary=["one", "two"], content=["raw"])
    assert done == [ThinkingDone(text="one\n\ntwo", block_id="r")]


def test_raw_reasoning_is_taken_where_there_is_no_summary() -> None:
    assert completed(type="reasoning", id="r", summary=[], content=["raw"]) == [
        ThinkingDone(text="raw", block_id="r"),
    ]
    assert completed(type="reasoning", id="r", summary=[], content=[]) == []


def test_message_streams_and_ends() -> None:
    assert decode("item/agentMessage/delta", itemId="m", delta="x") == [
        TextDelta(text="x", block_id="m"),
    ]
    assert completed(type="agentMessage", id="m", text="xy") == [TextDone(text="xy", block_id="m")]


def test_image_is_data_or_a_place() -> None:
    assert completed(type="imageGeneration", id="i", status="completed", result="aGk=") == [
        ImageDone(mime_type="image/png", data="aGk=", block_id="i"),
    ]
    assert completed(type="imageGeneration", id="i", status="x", savedPath="/p.png") == [
        ImageDone(mime_type="image/png", uri="/p.png", block_id="i"),
    ]


def test_plan_is_whole() -> None:
    plan = [{"step": "one", "status": "inProgress"}, {"step": "two", "status": "pending"}]
    assert decode("turn/plan/updated", plan=plan) == [
        PlanUpdated(
            entries=(PlanEntry(text="one", status="in_progress"), PlanEntry(text="two")),
        ),
    ]


def test_usage_counts_cached_tokens_once() -> None:
    last = {
        "totalTokens": 120,
        "inputTokens": 100,
        "cachedInputTokens": 40,
        "cacheWriteInputTokens": 10,
        "outputTokens": 20,
        "reasoningOutputTokens": 7,
    }
    [event] = decode("thread/tokenUsage/updated", tokenUsage={"total": {}, "last": last})
    assert event == UsageReported(
        usage=UsageStats(
            input_tokens=50,
            output_tokens=20,
            cache_read_tokens=40,
            cache_write_tokens=10,
            reasoning_tokens=7,
        ),
        model="m",
    )


def test_replayed_usage_of_an_earlier_turn_does_not_count() -> None:
    usage = {"last": {"inputTokens": 100}}
    assert decode("thread/tokenUsage/updated", turnId="OLD", tokenUsage=usage) == []


def test_late_item_of_an_earlier_turn_is_kept_aside() -> None:
    item = {"type": "agentMessage", "id": "m", "text": "late"}
    [event] = decode("item/completed", turnId="OLD", item=item)
    assert isinstance(event, VendorEvent)


def test_retry_says_which_one_it_is() -> None:
    error = {"message": "Reconnecting... 2/5", "additionalDetails": "status 503"}
    assert decode("error", willRetry=True, error=error) == [
        Retrying(reason="status 503", attempt=2, max_attempts=5),
    ]
    assert decode("error", willRetry=False, error=error) == []


def test_rerouted_model_is_told_and_counted_as_such() -> None:
    decoder = TurnDecoder("T", model="old", turn_id="U")
    params = {"threadId": "T", "turnId": "U", "fromModel": "old", "toModel": "new", "reason": "x"}
    [notice] = decoder.decode({"method": "model/rerouted", "params": params})
    assert isinstance(notice, Notice)
    assert decoder.model == "new"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [*TurnDecoder("T")._handlers, "turn/started", "item/started", "thread/unknown"],
)
kinds = st.sampled_from([*_FINISHERS, "userMessage", "other"])
MEMBERS = (
    "id text status changes result error arguments content contentItems summary output action "
    "results exitCode durationMs success agentsStates failure diff kind path"
)
PARAMS = "item turn delta itemId tokenUsage plan error willRetry rateLimits message"
members = st.sampled_from(MEMBERS.split())
items = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    kinds,
    st.dictionaries(members, json_values, max_size=6),
)
params = st.dictionaries(
    st.sampled_from(PARAMS.split()),
    json_values | items,
    max_size=5,
)


@given(method=names, content=params)
def test_no_notification_raises(method: str, content: dict[str, Any]) -> None:
    content = {"threadId": "T", "turnId": "U", **content}
    decoder = TurnDecoder("T", turn_id="U")
    decoder.decode({"method": method, "params": content})


@given(line=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_line_raises(line: bytes) -> None:
    assert all(isinstance(event, Event) for event in TurnDecoder("T").feed(line))
