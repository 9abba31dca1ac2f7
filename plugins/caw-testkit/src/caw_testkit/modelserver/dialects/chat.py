"""OpenAI's Chat Completions API, as opencode and most local models speak it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_testkit.modelserver.dialects.dialect import dicts_in, sse, texts_in
from caw_testkit.modelserver.dialects.responses import ResponsesDialect
from caw_testkit.modelserver.request import Message, ToolCall, ToolResult
from caw_testkit.modelserver.steps import Call, Text, Think

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_testkit.modelserver.dialects.dialect import Ids
    from caw_testkit.modelserver.steps import Reply, StreamError
    from caw_testkit.modelserver.usage import Usage

_FINISH = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}


class ChatDialect:
    """``POST /v1/chat/completions``."""

    def messages(self, body: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the messages of the request."""
        return tuple(map(_message, dicts_in(body.get("messages"))))

    def tools(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the functions' names."""
        functions = [tool.get("function") for tool in dicts_in(body.get("tools"))]
        return tuple(str(named.get("name")) for named in dicts_in(functions))

    def events(self, reply: Reply, ids: Ids, model: str) -> list[bytes]:
        """Return the chunks, the chunk with the usage, and ``[DONE]``."""
        head = {
            "id": ids.of("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
        }

        def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return sse({**head, "choices": [choice]})

        return [
            chunk({"role": "assistant", "content": ""}),
            *map(chunk, _deltas(reply, ids)),
            chunk({}, _FINISH[reply.stop_reason]),
            sse({**head, "choices": [], "usage": _usage(reply.usage)}),
            b"data: [DONE]\n\n",
        ]

    def document(self, reply: Reply, ids: Ids, model: str) -> dict[str, Any]:
        """Return the completion object."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.thoughts:
            message["reasoning_content"] = reply.thoughts
        if reply.calls:
            message["tool_calls"] = [
                _call(part, index, ids) for index, part in enumerate(reply.calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": _FINISH[reply.stop_reason]}
        return {
            "id": ids.of("chatcmpl"),
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [choice],
            "usage": _usage(reply.usage),
        }

    def error_body(self, status: int, message: str, kind: str | None) -> dict[str, Any]:
        """Return OpenAI's error object."""
        return ResponsesDialect().error_body(status, message, kind)

    def error_event(self, error: StreamError, ids: Ids) -> bytes:
        """Return a chunk that holds an error object only."""
        del ids
        return sse(self.error_body(500, error.message, error.kind))


def _deltas(reply: Reply, ids: Ids) -> Iterator[dict[str, Any]]:
    calls = 0
    for part in reply.parts:
        match part:
            case Text():
                yield from ({"content": piece} for piece in reply.pieces(part.text))
            case Think():
                yield from ({"reasoning_content": piece} for piece in reply.pieces(part.text))
            case Call():
                yield {"tool_calls": [{"index": calls, **_call(part, calls, ids)}]}
                calls += 1


def _call(part: Call, index: int, ids: Ids) -> dict[str, Any]:
    return {
        "id": part.id or ids.of("call", index),
        "type": "function",
        "function": {"name": part.name, "arguments": part.arguments},
    }


def _message(item: Mapping[str, Any]) -> Message:
    role = str(item.get("role", "user"))
    texts = texts_in(item.get("content"))
    if role == "tool":
        result = ToolResult(call_id=str(item.get("tool_call_id", "")), text="\n".join(texts))
        return Message(role=role, results=(result,))
    return Message(role=role, texts=texts, calls=tuple(_calls(item.get("tool_calls"))))


def _calls(value: object) -> Iterator[ToolCall]:
    for entry in dicts_in(value):
        function = entry.get("function") or {}
        yield ToolCall(
            id=str(entry.get("id", "")),
            name=str(function.get("name", "")),
            arguments=str(function.get("arguments", "")),
        )


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens": usage.output_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
