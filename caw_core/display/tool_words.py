"""What a tool call says in a line or two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from caw_core.display.plain import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINES = 3


def call_words(name: str, arguments: Mapping[str, Any], width: int) -> str:
    """Return the tool's name and what it was called with, on one line."""
    values = list(arguments.values())
    if not values:
        said = ""
    elif len(values) == 1 and isinstance(values[0], str):
        said = values[0]
    else:
        said = json.dumps(dict(arguments), ensure_ascii=False)
    return one_line(f"{name} {said}", width)


def output_words(output: str, width: int) -> list[str]:
    """Return the first lines of an output, and how many more there are."""
    lines = [line for line in output.splitlines() if line.strip()]
    shown = [one_line(line, width) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"… {len(lines) - _LINES} more lines")
    return shown
