"""From the parts of opencode's messages to events.

The kinds are those of ``Part`` in the schema that ``opencode serve`` gives at ``/doc`` (1.18.33);
what the tools leave in ``metadata`` was observed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from caw_core.events import FileChanged, ImageDone, PlanUpdated, ToolFinished
from caw_core.json_fields import mapping, number, objects, text
from caw_core.trajectory import PlanEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON

Part = dict[str, "JSON"]
ChangeKind = Literal["add", "update", "delete"]

FINAL: Final = frozenset({"completed", "error"})
"""The states in which a tool call has its result."""

_DECLINED: Final = (
    "The user rejected permission",
    "The user has specified a rule which prevents",
    "The user dismissed this question",
)
_CHANGE_KINDS: Final[dict[str, ChangeKind]] = {
    "add": "add",
    "update": "update",
    "move": "update",
    "delete": "delete",
}
_NEW_FILE: Final = re.compile(r"^@@ -0,0 ", re.MULTILINE)
_INVALID: Final = "invalid"
"""The tool that opencode calls in place of one that does not exist."""


def tool_finished(part: Part) -> ToolFinished:
    """Return the result of a tool call that has one."""
    state = mapping(part, "state")
    metadata = mapping(state, "metadata")
    failed = text(state, "status") == "error"
    output = text(state, "error") if failed else text(state, "output")
    content: list[JSON] = list(objects(state, "attachments"))
    code = number(metadata, "exit")
    if code is not None:
        content.append({"type": "exit_code", "exit_code": code})
    status: Literal["completed", "failed", "declined"] = "completed"
    if failed and output.startswith(_DECLINED):
        status = "declined"
    elif failed or code or text(part, "tool") == _INVALID:
        status = "failed"
    return ToolFinished(
        call_id=text(part, "callID"),
        name=text(part, "tool"),
        arguments=mapping(state, "input"),
        output=output,
        is_error=status != "completed",
        status=status,
        content=tuple(content),
        duration_ms=_duration(state),
        extra=_extra(state, metadata, output),
    )


def plan(part: Part) -> PlanUpdated | None:
    """Return the agent's plan as a tool call that succeeded has left it; None if it has not."""
    state = mapping(part, "state")
    if text(part, "tool") != "todowrite" or text(state, "status") != "completed":
        return None
    entries = []
    todos = objects(mapping(state, "metadata"), "todos")
    for todo in todos or objects(mapping(state, "input"), "todos"):
        priority = text(todo, "priority")
        entries.append(
            PlanEntry(
                text=text(todo, "content"),
                status=text(todo, "status") or "pending",
                extra={"priority": priority} if priority else {},
            ),
        )
    return PlanUpdated(entries=tuple(entries))


def file_changes(part: Part) -> Iterator[FileChanged]:
    """Yield what a tool call that succeeded has done to files."""
    state = mapping(part, "state")
    if text(state, "status") != "completed":
        return
    match text(part, "tool"):
        case "write":
            yield _written(part, state)
        case "edit":
            yield _edited(part, state)
        case "apply_patch" | "patch":
            yield from _patched(part, state)


def image(part: Part) -> ImageDone | None:
    """Return the image that a file part holds, or None if it holds something else."""
    mime, url = text(part, "mime"), text(part, "url")
    if not mime.startswith("image/") or not url:
        return None
    head, _, data = url.partition(";base64,")
    inside = head.startswith("data:") and bool(data)
    return ImageDone(
        mime_type=mime,
        data=data if inside else "",
        uri="" if inside else url,
        block_id=text(part, "id"),
    )


def _duration(state: Part) -> int | None:
    time = mapping(state, "time")
    start, end = number(time, "start"), number(time, "end")
    return None if start is None or end is None else max(0, end - start)


def _extra(state: Part, metadata: Part, output: str) -> dict[str, JSON]:
    kept = {
        name: value
        for name, value in metadata.items()
        if not (name in ("output", "preview") and isinstance(value, str) and value in output)
    }
    extra: dict[str, JSON] = {"metadata": kept} if kept else {}
    if text(state, "title"):
        extra["title"] = text(state, "title")
    return extra


def _written(part: Part, state: Part) -> FileChanged:
    metadata, given = mapping(state, "metadata"), mapping(state, "input")
    exists = metadata.get("exists") is True
    # For a file that was there before, opencode keeps neither its old text nor a diff.
    diff = text(mapping(metadata, "filediff"), "patch") or text(metadata, "diff")
    return FileChanged(
        path=text(metadata, "filepath") or text(given, "filePath"),
        kind="update" if exists else "add",
        diff=diff or ("" if exists else text(given, "content")),
        call_id=text(part, "callID"),
    )


def _edited(part: Part, state: Part) -> FileChanged:
    metadata = mapping(state, "metadata")
    change = mapping(metadata, "filediff")
    diff = text(change, "patch") or text(metadata, "diff")
    return FileChanged(
        path=text(change, "file") or text(mapping(state, "input"), "filePath"),
        kind="add" if _NEW_FILE.search(diff) else "update",
        diff=diff,
        call_id=text(part, "callID"),
    )


def _patched(part: Part, state: Part) -> Iterator[FileChanged]:
    for change in objects(mapping(state, "metadata"), "files"):
        moved = text(change, "movePath")
        yield FileChanged(
            path=text(change, "filePath"),
            kind=_CHANGE_KINDS.get(text(change, "type"), "update"),
            diff=text(change, "patch") or text(change, "diff"),
            call_id=text(part, "callID"),
            extra={"move_path": moved} if moved else {},
        )
