"""Each API, read and written, over plain HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.modelserver import ToolResult, Usage, call, fail, fail_inside, reply, text, think

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Ask

USAGE = Usage(
    input_tokens=20, cached_tokens=5, cache_write_tokens=3, output_tokens=9, reasoning_tokens=2
)
EVERYTHING = reply(think("Let me see."), text("I run it."), call("run", {"x": 1}), usage=USAGE)


def said(event_texts: list[str | None]) -> str:
    return "".join(piece for piece in event_texts if piece)


def test_responses_stream(server: ModelServer, ask: Ask) -> None:
    server.script(EVERYTHING)
    got = ask("/v1/responses", {"model": "m", "input": "hi", "stream": True})
    assert got.status == 200
    assert got.headers["content-type"] == "text/event-stream"
    kinds = [event["type"] for event in got.events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert [event["sequence_number"] for event in got.events] == list(range(len(kinds)))
    deltas = [e["delta"] for e in got.events if e["type"] == "response.output_text.delta"]
    assert deltas == ["I ", "run ", "it."]
    done = [e["item"] for e in got.events if e["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["reasoning", "message", "function_call"]
    assert done[2]["arguments"] == '{"x": 1}'
    final = got.events[-1]["response"]
    assert final["output"] == done
    assert final["usage"]["input_tokens"] == 20
    assert final["usage"]["input_tokens_details"]["cached_tokens"] == 5
    assert final["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    server.verify()


def test_responses_freeform_call_and_namespace(server: ModelServer, ask: Ask) -> None:
    server.script(reply(call("apply_patch", "*** Begin"), call("add", {}, namespace="mcp__s")))
    output = ask("/v1/responses", {"input": "hi"}).json["output"]
    assert output[0]["type"] == "custom_tool_call"
    assert output[0]["input"] == "*** Begin"
    assert output[1]["namespace"] == "mcp__s"
    assert output[0]["call_id"] != output[1]["call_id"]


def test_responses_that_stop_early_are_incomplete(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("half"), stop="max_tokens"))
    last = ask("/v1/responses", {"input": "hi", "stream": True}).events[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_chat_stream(server: ModelServer, ask: Ask) -> None:
    server.script(EVERYTHING)
    got = ask("/v1/chat/completions", {"model": "m", "messages": [], "stream": True})
    assert got.data.endswith(b"data: [DONE]\n\n")
    deltas = [choice["delta"] for event in got.events for choice in event["choices"]]
    assert said([delta.get("content") for delta in deltas]) == "I run it."
    assert said([delta.get("reasoning_content") for delta in deltas]) == "Let me see."
    [made] = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert made["function"] == {"name": "run", "arguments": '{"x": 1}'}
    assert got.events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert got.events[-1]["usage"]["total_tokens"] == 29
    assert got.events[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}


def test_chat_document(server: ModelServer, ask: Ask) -> None:
    server.script(EVERYTHING)
    [choice] = ask("/v1/chat/completions", {"messages": []}).json["choices"]
    assert choice["message"]["content"] == "I run it."
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "run"
    assert choice["finish_reason"] == "tool_calls"


def test_messages_stream(server: ModelServer, ask: Ask) -> None:
    server.script(EVERYTHING)
    got = ask("/v1/messages?beta=true", {"model": "m", "messages": [], "stream": True})
    kinds = [event["type"] for event in got.events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    starts = [e["content_block"] for e in got.events if e["type"] == "content_block_start"]
    assert starts[0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert starts[1] == {"type": "text", "text": ""}
    assert starts[2]["input"] == {}
    deltas = [e["delta"] for e in got.events if e["type"] == "content_block_delta"]
    assert said([delta.get("text") for delta in deltas]) == "I run it."
    assert said([delta.get("thinking") for delta in deltas]) == "Let me see."
    assert said([delta.get("partial_json") for delta in deltas]) == '{"x": 1}'
    assert got.events[-2]["delta"]["stop_reason"] == "tool_use"
    # Anthropic counts the cached parts apart: 20 = 12 + 5 + 3.
    assert got.events[-2]["usage"] == {
        "input_tokens": 12,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 9,
    }


def test_messages_document(server: ModelServer, ask: Ask) -> None:
    server.script(EVERYTHING)
    got = ask("/v1/messages", {"model": "m", "messages": []}).json
    assert [block["type"] for block in got["content"]] == ["thinking", "text", "tool_use"]
    assert got["content"][2]["input"] == {"x": 1}


HISTORIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {
        "instructions": "Be kind.",
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": "run it"},
            {"type": "function_call", "name": "run", "arguments": '{"x": 1}', "call_id": "c1"},
            {"type": "function_call_output", "call_id": "c1", "output": "it ran"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "again"}]},
        ],
        "tools": [
            {"type": "function", "name": "run"},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "t"}]},
        ],
    },
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "run it"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "function": {"name": "run", "arguments": '{"x": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "it ran"},
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": [{"type": "text", "text": "again"}]},
        ],
        "tools": [{"function": {"name": "run"}}, {"function": {"name": "n.t"}}],
    },
    "/v1/messages": {
        "system": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": "run it"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "run", "input": {"x": 1}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "it ran"}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "ok"}]},
            {"role": "user", "content": [{"type": "text", "text": "again"}]},
        ],
        "tools": [{"name": "run"}, {"name": "n.t"}],
    },
}


@pytest.mark.parametrize("path", HISTORIES)
def test_a_recorded_request_reads_the_same_on_every_api(
    server: ModelServer, ask: Ask, path: str
) -> None:
    server.script(reply(text("yes")))
    key = {"Authorization": "Bearer secret-1", "X-Api-Key": "secret-2"}
    ask(path, {"model": "m", **HISTORIES[path]}, headers=key)
    [request] = server.requests
    assert request.model == "m"
    assert request.texts() == ["Be kind.", "Be brief.", "run it", "it ran", "ok", "again"]
    assert request.system() == ["Be kind.", "Be brief."]
    assert request.user_texts() == ["run it", "again"]
    assert request.last_user_text() == "again"
    assert request.tool_results() == [ToolResult(call_id="c1", text="it ran")]
    assert [made.name for made in request.tool_calls()] == ["run"]
    assert request.tools == ("run", "n.t")
    assert "secret" not in repr(request)
    assert request.headers["authorization"] == request.headers["x-api-key"] == "<redacted>"
    assert request.used_credential("secret-1")
    assert request.used_credential("secret-2")
    assert not request.used_credential("secret-3")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/responses", "rate_limit_exceeded"),
        ("/v1/chat/completions", "rate_limit_exceeded"),
        ("/v1/messages", "rate_limit_error"),
    ],
)
def test_a_failure_has_the_form_of_its_api(
    server: ModelServer, ask: Ask, path: str, kind: str
) -> None:
    server.script(
        fail(429, "slow down", headers={"Retry-After": "7"}),
        fail(400, "no", kind="special"),
        fail(418, body={"own": True}),
    )
    limited = ask(path, {})
    assert (limited.status, limited.headers["retry-after"]) == (429, "7")
    assert limited.json["error"]["message"] == "slow down"
    assert limited.json["error"]["type"] == kind
    assert ask(path, {}).json["error"]["type"] == "special"
    assert ask(path, {}).json == {"own": True}
    assert [request.outcome for request in server.requests] == ["failed"] * 3
    assert server.usage == Usage.zero()


@pytest.mark.parametrize("path", HISTORIES)
def test_an_error_inside_a_stream(server: ModelServer, ask: Ask, path: str) -> None:
    server.script(fail_inside(reply(text("one two three four")), "broke", kind="overloaded_error"))
    got = ask(path, {"stream": True})
    assert got.status == 200
    assert b"one" in got.data
    assert b"four" not in got.data
    assert b"broke" in got.data.split(b"\n\n")[-2]
    assert server.requests[0].outcome == "failed"
