"""From claude's tool results to events."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, Literal

from caw_core.events import FileChanged, ToolFinished
from caw_core.json_fields import mapping, number, objects, strings, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON

_FILE_TOOLS: Final = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
_COPIES: Final = frozenset({"originalFile", "original_file", "updated_file"})
"""Whole files beside the change; `FileChanged.diff` and the arguments say what matters of them."""


def tool_name(name: str) -> str:
    """Return a tool's name as caw writes it: ``mcp__server__tool`` becomes ``server.tool``."""
    if not name.startswith("mcp__"):
        return name
    server, _, tool = name.removeprefix("mcp__").partition("__")
    return f"{server}.{tool}" if tool else name


def finished(
    result: dict[str, JSON],
    structured: JSON,
    *,
    arguments: dict[str, JSON] | None,
    declined: bool,
) -> ToolFinished:
    """Return the end of a tool call.

    Args:
        result: the ``tool_result`` block.
        structured: the line's ``tool_use_result``; claude gives a text there when a tool failed.
        arguments: what the tool was called with, where the call itself was seen.
        declined: it was not allowed to run.
    """
    content = result.get("content")
    parts = tuple(content) if isinstance(content, list) else ()
    output = content if isinstance(content, str) else "\n".join(_texts(parts))
    failed = result.get("is_error") is True
    return ToolFinished(
        call_id=text(result, "tool_use_id"),
        output=output,
        is_error=failed,
        status="declined" if declined and failed else None,
        content=parts,
        arguments=arguments,
        duration_ms=number(structured, "durationMs"),
        extra={"tool_use_result": _lean(structured)} if isinstance(structured, dict) else {},
    )


def never_ran(call_id: str) -> ToolFinished:
    """Return the end of a call that the model had begun to write when its answer was cut off."""
    said = "never ran: the model's answer was cut off while it wrote this call"
    return ToolFinished(call_id=call_id, output=said, is_error=True, status="declined")


def file_changed(tool: str, call_id: str, structured: JSON) -> FileChanged | None:
    """Return what a tool did to a file, or None if it did nothing to one."""
    path = text(structured, "filePath") or text(structured, "notebook_path")
    if tool not in _FILE_TOOLS or not path or text(structured, "error"):
        return None
    kind: Literal["add", "update"] = "update"
    if text(structured, "type") == "create" or structured.get("originalFile", "") is None:
        kind = "add"
        diff = text(structured, "content") or text(structured, "newString")
    elif "original_file" in structured:
        diff = _diff(text(structured, "original_file"), text(structured, "updated_file"))
    else:
        diff = "".join(_hunk(hunk) for hunk in objects(structured, "structuredPatch"))
    return FileChanged(path=path, kind=kind, diff=diff, call_id=call_id)


def _texts(parts: tuple[JSON, ...]) -> list[str]:
    return [text(part, "text") for part in parts if text(part, "type") == "text"]


def _lean(structured: dict[str, JSON]) -> dict[str, JSON]:
    lean = {name: value for name, value in structured.items() if name not in _COPIES}
    if "file" in lean:
        lean["file"] = {
            name: value
            for name, value in mapping(structured, "file").items()
            if name not in ("content", "base64")
        }
    return lean


def _hunk(hunk: dict[str, JSON]) -> str:
    old = f"{number(hunk, 'oldStart') or 0},{number(hunk, 'oldLines') or 0}"
    new = f"{number(hunk, 'newStart') or 0},{number(hunk, 'newLines') or 0}"
    return "".join(f"{line}\n" for line in (f"@@ -{old} +{new} @@", *strings(hunk, "lines")))


def _diff(old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="")
    return "".join(f"{line}\n" for line in list(lines)[2:])
