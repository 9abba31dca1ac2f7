"""Where two JSON documents differ, in words that fit on a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 8
_WIDTH = 120


def differences(expected: Any, found: Any, path: str = "$") -> list[str]:
    """Return the first differences, each with the path of the place; empty where there are none."""
    lines: list[str] = []
    for line in _each(expected, found, path):
        if len(lines) == _MOST:
            return [*lines, "…"]
        lines.append(line)
    return lines


def _each(expected: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            place = f"{path}.{key}"
            if key not in found:
                yield f"  {place}: missing, expected {_shown(expected[key])}"
            elif key not in expected:
                yield f"  {place}: {_shown(found[key])}, expected nothing"
            else:
                yield from _each(expected[key], found[key], place)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"  {path}: {len(found)} items, expected {len(expected)}"
        for index, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from _each(one, other, f"{path}[{index}]")
    elif type(expected) is not type(found) or expected != found:
        yield f"  {path}: {_shown(found)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > _WIDTH:
        return f"{value[:_WIDTH]!a}… ({len(value)} characters)"
    text = ascii(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
