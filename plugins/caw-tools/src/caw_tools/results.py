"""What a tool returned or raised, as the protocol has it."""

from __future__ import annotations

import base64
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pydantic_core
from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from caw_tools.image import Image

if TYPE_CHECKING:
    from caw_tools.signature import PythonTool

_CONTENT = (TextContent, ImageContent, AudioContent, EmbeddedResource, ResourceLink)


def result_of(tool: PythonTool, value: Any) -> CallToolResult:
    """Return what the agent gets for *value*.

    A text as it is; None as nothing; an `Image`, or a list with images in it, as such; content of
    the protocol as it is; all else as JSON. As data too, where the tool says that it has any.

    Raises:
        TypeError: JSON cannot hold it.
        ValueError: it is not what the tool's type of result says, or an image of no known kind.
        OSError: an image's file cannot be read.
    """
    if isinstance(value, CallToolResult):
        return value
    result = CallToolResult(content=_content(value))
    if tool.metadata.output_model is not None:
        converted = tool.metadata.convert_result(value)
        result.structured_content = getattr(converted, "structured_content", None)
    return result


def error_of(error: BaseException, redact: Callable[[str], str]) -> CallToolResult:
    """Return what the agent is told of a call that failed: what it was, and not where."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - its class is somebody's own
        text = ""
    return failed(redact(f"{kind}: {text}" if text else kind))


def failed(text: str) -> CallToolResult:
    """Return a failure with *text* for the model."""
    return CallToolResult(content=[_said(text)], is_error=True)


def holds_image(annotation: Any) -> bool:
    """Tell whether a type of result is an `Image`, or has one in it."""
    return annotation is Image or any(holds_image(part) for part in typing.get_args(annotation))


def _content(value: Any) -> list[ContentBlock]:
    if value is None:
        return []
    if isinstance(value, list | tuple) and any(
        isinstance(item, (Image, *_CONTENT)) for item in value
    ):
        return [block for item in value for block in _content(item)]
    if isinstance(value, _CONTENT):
        return [value]
    if isinstance(value, Image):
        data, kind = value.read()
        encoded = base64.b64encode(data).decode("ascii")
        return [ImageContent(type="image", data=encoded, mime_type=kind)]
    if isinstance(value, bytes | bytearray):
        msg = "a tool returned bytes: return caw_tools.Image(…) for a picture, else text"
        raise TypeError(msg)
    # Of an enumeration of texts the first is the value, not the name.
    text = str.__str__(value) if isinstance(value, str) else _json(value)
    return [_said(text)]


def _said(text: str) -> TextContent:
    # Half a character, as in some names of files, would break the whole answer.
    return TextContent(type="text", text=text.encode(errors="backslashreplace").decode())


def _json(value: Any) -> str:
    strangers: list[str] = []

    def plain(part: Any) -> Any:
        if attrs.has(type(part)) and not isinstance(part, Image):
            return attrs.asdict(part, recurse=False)
        strangers.append(type(part).__name__)
        return None

    text = pydantic_core.to_json(value, fallback=plain).decode()
    if strangers:
        msg = f"a tool's result holds {strangers[0]}, which JSON cannot hold"
        raise TypeError(msg)
    return text
