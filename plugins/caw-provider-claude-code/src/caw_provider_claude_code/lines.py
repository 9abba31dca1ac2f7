"""One line of claude's output to one message, and the other way round."""

from __future__ import annotations

import json

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ConfigError


@attrs.frozen
class Line:
    """What claude wrote, and the message in it; None where there is none."""

    raw: bytes
    message: dict[str, JSON] | None


def read_line(raw: bytes) -> Line:
    """Read the object on a line, if there is one.

    Bytes that are not UTF-8 are replaced, so that one bad character costs no message.
    """
    try:
        message = json.loads(raw.decode(errors="replace"))
    except (ValueError, RecursionError):
        return Line(raw, None)
    return Line(raw, message if isinstance(message, dict) else None)


def write_line(message: dict[str, JSON]) -> bytes:
    """Return *message* as one line. A line that is no JSON would end claude, so this makes sure.

    Raises:
        ConfigError: a text in it holds half of a surrogate pair, so it is no Unicode.
    """
    try:
        compact = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return compact.encode() + b"\n"
    except UnicodeEncodeError as error:
        msg = "the text holds half of a surrogate pair, so it is no Unicode and cannot be sent"
        raise ConfigError(msg) from error
