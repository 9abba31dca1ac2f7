"""What programs write when something is wrong: 24 lines that are no message, or a spoilt one.

Each has been seen, or is a neighbour of one that was. A decoder survives all of them: it keeps
the line, and reads the next one.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["malformed_lines"]

_DEPTH = 100_000
_DIGITS = 5_000
"""More than `sys.get_int_max_str_digits`, so that reading it raises a plain ValueError."""


def malformed_lines(good: bytes) -> dict[str, bytes]:
    """Return malformed lines by name, without their ends.

    Args:
        good: a line as the agent writes it, a JSON object; some are made of it.
    """
    message = json.loads(good)
    half = len(good) // 2
    return {
        "null": b"null",
        "a list": b"[1, 2]",
        "a number": b"3",
        "a text": b'"text"',
        "true": b"true",
        "an empty object": b"{}",
        "words": b"Warning: something is deprecated",
        "the first half of a line": good[:half],
        "the second half of a line": good[half:],
        "two messages on a line": good + good,
        "Latin-1": b'{"type":"caw-latin-1","text":"gr\xfc\xdfe"}',
        "UTF-16": good.decode().encode("utf-16"),
        "NUL bytes": b"\0\0\0\0",
        "lists without end": b"[" * _DEPTH,
        "objects without end": b'{"a":' * _DEPTH,
        "a number of 5,000 digits": b'{"type":%s}' % (b"7" * _DIGITS),
        "NaN": b'{"type":NaN}',
        "half a surrogate pair": b'{"type":"\\ud83e"}',
        "null for each member": _line(_spoilt(message, None)),
        "a number for each member": _line(_spoilt(message, 3)),
        "a text for each member": _line(_spoilt(message, "text")),
        "a list for each member": _line(_spoilt(message, [None])),
        "null one level deeper": _line(_spoilt_inside(message, None)),
        "a text one level deeper": _line(_spoilt_inside(message, "text")),
    }


def _spoilt(message: dict[str, Any], value: object) -> dict[str, Any]:
    """Put *value* in the place of all but the texts, one of which says what the message is."""
    return {name: old if isinstance(old, str) else value for name, old in message.items()}


def _spoilt_inside(message: dict[str, Any], value: object) -> dict[str, Any]:
    return {
        name: dict.fromkeys(old, value) if isinstance(old, dict) else old
        for name, old in message.items()
    }


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()
