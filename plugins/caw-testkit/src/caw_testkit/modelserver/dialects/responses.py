"""OpenAI's Responses API, as codex speaks it."""

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
    429: "rate_limit_exceeded",
}
_INCOMPLETE = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}


class ResponsesDialect:
    """``POST /v1/responses``."""

    def messages(self, body: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the instructions and the input items."""
        found: list[Message] = []
        if isinstance(instructions := body.get("instructions"), str) and instructions:
            found.append(Message(role="system", texts=(instructions,)))
        items = body.get("input")
        if isinstance(items, str):
            found.append(Message(role="user", texts=(items,)))
        found.extend(filter(None, map(_message, dicts_in(items))))
        return tuple(found)

    def tools(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tools' names; one without a name goes by its type."""
        return tuple(_tool_names(body.get("tools")))

    def events(self, reply: Reply, ids: Ids, model: str) -> list[bytes]:
        """Return the events from ``response.created`` to ``response.completed``."""
        shell = {"id": ids.of("resp"), "object": "response", "model": model, "output": []}
        events = [_Event("response.created", response={**shell, "status": "in_progress"})]
        for index, part in enumerate(reply.parts):
            events.extend(_part_events(part, index, ids, reply))
        done = self.document(reply, ids, model)
        events.append(_Event(f"response.{done['status']}", response=done))
        return [
            sse({"type": event.kind, "sequence_number": number, **event.data}, event.kind)
            for number, event in enumerate(events)
        ]

    def document(self, reply: Reply, ids: Ids, model: str) -> dict[str, Any]:
        """Return the response object."""
        reason = _INCOMPLETE.get(reply.stop_reason)
        return {
            "id": ids.of("resp"),
            "object": "response",
            "created_at": 0,
            "model": model,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "error": None,
            "output": [_item(part, index, ids) for index, part in enumerate(reply.parts)],
            "usage": _usage(reply.usage),
        }

    def error_body(self, status: int, message: str, kind: str | None) -> dict[str, Any]:
        """Return OpenAI's error object."""
        name = kind or _ERROR_KINDS.get(status, "server_error")
        return {"error": {"message": message, "type": name, "code": name, "param": None}}

    def error_event(self, error: StreamError, ids: Ids) -> bytes:
        """Return a ``response.failed`` event."""
        response = {
            "id": ids.of("resp"),
            "object": "response",
            "status": "failed",
            "error": {"code": error.kind, "message": error.message},
        }
        return sse({"type": "response.failed", "response": response}, "response.failed")


class _Event:
    def __init__(self, kind: str, **data: Any) -> None:
        self.kind = kind
        self.data = data


def _message(item: Mapping[str, Any]) -> Message | None:
    kind = item.get("type", "message")
    if kind == "message":
        return Message(role=str(item.get("role", "user")), texts=texts_in(item.get("content")))
    if kind in {"function_call", "custom_tool_call"}:
        call = ToolCall(
            id=str(item.get("call_id", "")),
            name=str(item.get("name", "")),
            arguments=str(item.get("arguments", item.get("input", ""))),
        )
        return Message(role="assistant", calls=(call,))
    if kind in {"function_call_output", "custom_tool_call_output"}:
        output = item.get("output")
        text = "\n".join(texts_in(output)) if isinstance(output, str | list) else json.dumps(output)
        result = ToolResult(call_id=str(item.get("call_id", "")), text=text)
        return Message(role="tool", results=(result,))
    if kind == "reasoning":
        return Message(role="assistant", texts=texts_in(item.get("summary")))
    return None


def _tool_names(tools: object) -> Iterator[str]:
    for tool in dicts_in(tools):
        if tool.get("type") == "namespace":
            yield from (f"{tool.get('name')}.{name}" for name in _tool_names(tool.get("tools")))
        else:
            yield str(tool.get("name") or tool.get("type"))


def _part_events(part: Part, index: int, ids: Ids, reply: Reply) -> Iterator[_Event]:
    item = _item(part, index, ids)
    place = {"item_id": item["id"], "output_index": index}
    yield _Event("response.output_item.added", output_index=index, item=_opened(item))
    match part:
        case Text():
            blank = {"type": "output_text", "text": "", "annotations": []}
            place["content_index"] = 0
            yield _Event("response.content_part.added", **place, part=blank)
            for piece in reply.pieces(part.text):
                yield _Event("response.output_text.delta", **place, delta=piece)
            yield _Event("response.output_text.done", **place, text=part.text)
            yield _Event("response.content_part.done", **place, part=item["content"][0])
        case Think():
            blank = {"type": "summary_text", "text": ""}
            place["summary_index"] = 0
            yield _Event("response.reasoning_summary_part.added", **place, part=blank)
            for piece in reply.pieces(part.text):
                yield _Event("response.reasoning_summary_text.delta", **place, delta=piece)
            yield _Event("response.reasoning_summary_text.done", **place, text=part.text)
            yield _Event("response.reasoning_summary_part.done", **place, part=item["summary"][0])
        case Call(freeform=True):
            yield _Event("response.custom_tool_call_input.delta", **place, delta=part.arguments)
            yield _Event("response.custom_tool_call_input.done", **place, input=part.arguments)
        case Call():
            kind = "response.function_call_arguments"
            yield _Event(f"{kind}.delta", **place, delta=part.arguments)
            yield _Event(f"{kind}.done", **place, arguments=part.arguments)
    yield _Event("response.output_item.done", output_index=index, item=item)


def _item(part: Part, index: int, ids: Ids) -> dict[str, Any]:
    match part:
        case Text():
            block = {"type": "output_text", "text": part.text, "annotations": []}
            return {
                "type": "message",
                "id": ids.of("msg", index),
                "role": "assistant",
                "status": "completed",
                "content": [block],
            }
        case Think():
            return {
                "type": "reasoning",
                "id": ids.of("rs", index),
                "summary": [{"type": "summary_text", "text": part.text}],
                # Programs send it back as the model's own; any text does.
                "encrypted_content": ids.of("thought", index),
            }
        case Call():
            named: dict[str, Any] = {
                "id": ids.of("fc", index),
                "call_id": part.id or ids.of("call", index),
                "name": part.name,
                "status": "completed",
            }
            if part.namespace is not None:
                named["namespace"] = part.namespace
            if part.freeform:
                return {"type": "custom_tool_call", "input": part.arguments, **named}
            return {"type": "function_call", "arguments": part.arguments, **named}


def _opened(item: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    return {name: empty.get(name, value) for name, value in item.items()}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
