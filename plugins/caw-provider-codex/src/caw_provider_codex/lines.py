"""One line of codex's output to one message."""

from __future__ import annotations

import json

import attrs

from caw_core.blocks import JSON


def parse_line(line: bytes) -> dict[str, JSON] | None:
    """Return the object on *line*, or None if there is none.

    Bytes that are not UTF-8 are replaced, so that one bad character costs no message.
    """
    try:
        message = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def write_line(message: dict[str, JSON]) -> bytes:
    """Return *message* as one line.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode (it holds half of a surrogate pair).
    """
    compact = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return compact.encode() + b"\n"


@attrs.frozen
class Line:
    """What codex wrote, and the message in it; None where there is none."""

    raw: bytes
    message: dict[str, JSON] | None
