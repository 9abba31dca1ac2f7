"""From codex's thread items to events.

The kinds are those of ``ThreadItem`` in the schema that ``codex app-server
generate-json-schema --experimental`` writes (0.169.0).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal, cast

from caw_core.events import (
    Event,
    FileChanged,
    ImageDone,
    Notice,
    TextDone,
    ThinkingDone,
    ToolFinished,
    ToolStarted,
    VendorEvent,
)
from caw_core.json_fields import mapping, number, objects, strings, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.blocks import JSON

Item = dict[str, "JSON"]
Status = Literal["completed", "failed", "declined"]

ECHOES: Final = frozenset({"userMessage"})
"""Items that only repeat what we sent."""


def started(item: Item) -> Iterator[Event]:
    """Yield what the beginning of *item* means."""
    describe = _TOOLS.get(text(item, "type"))
    if describe is not None:
        name, arguments = describe(item)
        yield ToolStarted(call_id=text(item, "id"), name=name, arguments=arguments)


def completed(item: Item) -> Iterator[Event]:
    """Yield what the end of *item* means; an item of an unknown kind is kept as it is."""
    kind = text(item, "type")
    if kind in ECHOES:
        return
    finish = _FINISHERS.get(kind)
    if finish is None:
        yield VendorEvent(kind=f"item/completed:{kind}", raw=item)
        return
    yield from finish(item)


def reasoning_text(item: Item) -> str:
    """Return the summary's parts, or the raw reasoning where there is no summary."""
    return "\n\n".join(strings(item, "summary") or strings(item, "content"))


# ------------------------------------------------------------------- names and arguments of tools


def _command(item: Item) -> tuple[str, Item]:
    return "command_execution", {"command": text(item, "command"), "cwd": text(item, "cwd")}


def _change(item: Item) -> tuple[str, Item]:
    changes = []
    for change in objects(item, "changes"):
        kind = mapping(change, "kind")
        entry: Item = {"path": text(change, "path"), "kind": text(kind, "type")}
        if text(kind, "move_path"):
            entry["move_path"] = text(kind, "move_path")
        changes.append(entry)
    return "file_change", {"changes": changes}


def _arguments(item: Item) -> Item:
    value = item.get("arguments")
    if isinstance(value, dict):
        return value
    return {} if value is None else {"value": value}


def _mcp(item: Item) -> tuple[str, Item]:
    return f"{text(item, 'server')}.{text(item, 'tool')}", _arguments(item)


def _qualified(item: Item, member: str) -> str:
    name = text(item, member)
    return f"{text(item, 'namespace')}.{name}" if text(item, "namespace") else name


def _dynamic(item: Item) -> tuple[str, Item]:
    return _qualified(item, "tool"), _arguments(item)


def _collab(item: Item) -> tuple[str, Item]:
    names = ("prompt", "model", "reasoningEffort", "receiverThreadIds")
    return text(item, "tool"), {name: item[name] for name in names if item.get(name)}


def _search(item: Item) -> tuple[str, Item]:
    arguments: Item = {"query": text(item, "query")}
    if mapping(item, "action"):
        arguments["action"] = mapping(item, "action")
    return "web_search", arguments


def _view(item: Item) -> tuple[str, Item]:
    return "view_image", {"path": text(item, "path")}


def _sleep(item: Item) -> tuple[str, Item]:
    return "sleep", {"duration_ms": number(item, "durationMs") or 0}


_TOOLS: Final[dict[str, Callable[[Item], tuple[str, Item]]]] = {
    "commandExecution": _command,
    "fileChange": _change,
    "mcpToolCall": _mcp,
    "dynamicToolCall": _dynamic,
    "collabAgentToolCall": _collab,
    "webSearch": _search,
    "imageView": _view,
    "sleep": _sleep,
}


# ---------------------------------------------------------------------------------------- results


def _status(item: Item) -> Status:
    status = text(item, "status")
    if status in ("completed", "failed", "declined"):
        return cast("Status", status)
    # Kinds without a status have no way to fail; whatever else a status says is no success.
    return "failed" if status else "completed"


def _finished(
    item: Item, output: str, content: tuple[JSON, ...] = (), status: Status | None = None
) -> ToolFinished:
    name, arguments = _TOOLS[text(item, "type")](item)
    result = status or _status(item)
    return ToolFinished(
        call_id=text(item, "id"),
        name=name,
        arguments=arguments,
        output=output,
        is_error=result != "completed",
        status=result,
        content=content,
        duration_ms=number(item, "durationMs"),
    )


def _command_done(item: Item) -> Iterator[Event]:
    code = number(item, "exitCode")
    status = _status(item)
    if code and status == "completed":
        status = "failed"
    content: tuple[JSON, ...] = () if code is None else ({"type": "exit_code", "exit_code": code},)
    yield _finished(item, text(item, "aggregatedOutput"), content, status)


def _change_done(item: Item) -> Iterator[Event]:
    changes = objects(item, "changes")
    yield _finished(item, "\n".join(text(change, "diff") for change in changes))
    if _status(item) != "completed":
        return
    for change in changes:
        kind = mapping(change, "kind")
        name = text(kind, "type")
        if name in ("add", "update", "delete"):
            moved = text(kind, "move_path")
            yield FileChanged(
                path=text(change, "path"),
                kind=cast("Literal['add', 'update', 'delete']", name),
                diff=text(change, "diff"),
                call_id=text(item, "id"),
                extra={"move_path": moved} if moved else {},
            )


def _mcp_done(item: Item) -> Iterator[Event]:
    result = mapping(item, "result")
    parts = result.get("content")
    content = list(parts) if isinstance(parts, list) else []
    output = "\n".join(text(part, "text") for part in content if text(part, "type") == "text")
    if result.get("structuredContent") is not None:
        content.append({"type": "structured", "structuredContent": result["structuredContent"]})
    yield _finished(item, output or text(mapping(item, "error"), "message"), tuple(content))


def _dynamic_done(item: Item) -> Iterator[Event]:
    content = objects(item, "contentItems")
    output = "\n".join(text(part, "text") for part in content if text(part, "type") == "inputText")
    status = "failed" if item.get("success") is False else _status(item)
    yield _finished(item, output, tuple(content), status)


def _collab_done(item: Item) -> Iterator[Event]:
    states = mapping(item, "agentsStates")
    yield _finished(item, json.dumps(states, ensure_ascii=False) if states else "")


def _search_done(item: Item) -> Iterator[Event]:
    results = item.get("results")
    yield _finished(item, "", tuple(results) if isinstance(results, list) else ())


def _plain_done(item: Item) -> Iterator[Event]:
    yield _finished(item, "")


def _message_done(item: Item) -> Iterator[Event]:
    if text(item, "text"):
        yield TextDone(text=text(item, "text"), block_id=text(item, "id"))


def _reasoning_done(item: Item) -> Iterator[Event]:
    if reasoning_text(item):
        yield ThinkingDone(text=reasoning_text(item), block_id=text(item, "id"))


def _function_output(item: Item) -> Iterator[Event]:
    output = item.get("output")
    content = objects(item, "output")
    parts = [text(part, "text") for part in content if text(part, "text")]
    yield ToolFinished(
        call_id=text(item, "id"),
        name=_qualified(item, "name"),
        output=output if isinstance(output, str) else "\n".join(parts),
        status="completed",
        content=tuple(content),
    )


def _image(item: Item) -> Iterator[Event]:
    data = text(item, "result")
    uri = text(item, "savedPath") or text(item, "fileId")
    if data or uri:
        yield ImageDone(
            mime_type="image/png",
            data=data,
            uri="" if data else uri,
            block_id=text(item, "id"),
        )
    if mapping(item, "failure"):
        reason = json.dumps(item["failure"], ensure_ascii=False)
        yield Notice(message=f"codex could not make an image: {reason}", level="warning")


def _compaction(_: Item) -> Iterator[Event]:
    yield Notice(message="codex summarised the conversation to make room in the context window")


_FINISHERS: Final[dict[str, Callable[[Item], Iterator[Event]]]] = {
    "agentMessage": _message_done,
    "plan": _message_done,
    "reasoning": _reasoning_done,
    "commandExecution": _command_done,
    "fileChange": _change_done,
    "mcpToolCall": _mcp_done,
    "dynamicToolCall": _dynamic_done,
    "collabAgentToolCall": _collab_done,
    "webSearch": _search_done,
    "imageView": _plain_done,
    "sleep": _plain_done,
    "functionCallOutput": _function_output,
    "imageGeneration": _image,
    "contextCompaction": _compaction,
}
