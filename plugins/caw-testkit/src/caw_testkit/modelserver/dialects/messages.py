"""Anthropic's Messages API, as claude speaks it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from caw_testkit.modelserver.dialects.dialect import dicts_in, sse, texts_in
from caw_testkit.modelserver.request import Message, ToolCall, ToolResult
from caw_testkit.modelserver.steps import Call, Text, Think

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_testkit.modelserver.dialects.dialect import Ids
    from caw_testkit.modelserver.steps import Part, Reply, StreamError
    from caw_testkit.modelserver.usage import Usage

_ERROR_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class MessagesDialect:
    """``POST /v1/messages``."""

    def messages(self, body: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the system prompt and the messages."""
        found = [Message(role="system", texts=texts_in(body["system"]))] if "system" in body else []
        found.extend(map(_message, dicts_in(body.get("messages"))))
        return tuple(found)

    def tools(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tools' names."""
        return tuple(str(tool.get("name")) for tool in dicts_in(body.get("tools")))

    def events(self, reply: Reply, ids: Ids, model: str) -> list[bytes]:
        """Return the events from ``message_start`` to ``message_stop``."""
        opened = self.document(reply, ids, model)
        opened |= {"content": [], "stop_reason": None, "usage": _usage(reply.usage, output=1)}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": opened}]
        for index, part in enumerate(reply.parts):
            events.extend(_part_events(part, index, ids, reply))
        stop = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": stop, "usage": _usage(reply.usage)})
        events.append({"type": "message_stop"})
        return [sse(event, event["type"]) for event in events]

    def document(self, reply: Reply, ids: Ids, model: str) -> dict[str, Any]:
        """Return the message object."""
        return {
            "id": ids.of("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [_block(part, index, ids) for index, part in enumerate(reply.parts)],
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "usage": _usage(reply.usage),
        }

    def error_body(self, status: int, message: str, kind: str | None) -> dict[str, Any]:
        """Return Anthropic's error object."""
        name = kind or _ERROR_KINDS.get(status, "api_error")
        return {"type": "error", "error": {"type": name, "message": message}}

    def error_event(self, error: StreamError, ids: Ids) -> bytes:
        """Return an ``error`` event."""
        del ids
        return sse(self.error_body(500, error.message, error.kind), "error")


def _part_events(part: Part, index: int, ids: Ids, reply: Reply) -> Iterator[dict[str, Any]]:
    block = _block(part, index, ids)
    empty: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
    opened = {name: empty.get(name, value) for name, value in block.items()}
    yield {"type": "content_block_start", "index": index, "content_block": opened}
    for delta in _deltas(part, block, reply):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(part: Part, block: Mapping[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    match part:
        case Text():
            for piece in reply.pieces(part.text):
                yield {"type": "text_delta", "text": piece}
        case Think():
            for piece in reply.pieces(part.text):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case Call():
            yield {"type": "input_json_delta", "partial_json": part.arguments}


def _block(part: Part, index: int, ids: Ids) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Think():
            signature = ids.of("signature", index)
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        case Call():
            return {
                "type": "tool_use",
                "id": part.id or ids.of("toolu", index),
                "name": part.name,
                "input": _parsed(part.arguments),
            }


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _message(item: Mapping[str, Any]) -> Message:
    content = item.get("content")
    blocks = list(dicts_in(content))
    return Message(
        role=str(item.get("role", "user")),
        texts=texts_in(content),
        calls=tuple(_call(block) for block in blocks if block.get("type") == "tool_use"),
        results=tuple(_result(block) for block in blocks if block.get("type") == "tool_result"),
    )


def _call(block: Mapping[str, Any]) -> ToolCall:
    return ToolCall(
        id=str(block.get("id", "")),
        name=str(block.get("name", "")),
        arguments=json.dumps(block.get("input")),
    )


def _result(block: Mapping[str, Any]) -> ToolResult:
    text = "\n".join(texts_in(block.get("content")))
    return ToolResult(call_id=str(block.get("tool_use_id", "")), text=text)


def _usage(usage: Usage, output: int | None = None) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens if output is None else output,
    }
