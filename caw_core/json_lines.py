"""JSON messages as programs exchange them: UTF-8, one object on a line."""

from __future__ import annotations

import json
import math

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ConfigError


@attrs.frozen
class Line:
    """What a program wrote, and the message in it.

    Attributes:
        raw: the line without its end.
        message: the object on it; None where there is none.
    """

    raw: bytes
    message: dict[str, JSON] | None


def read_line(raw: bytes) -> Line:
    """Read the object on a line, if there is one. Never raises.

    Bytes that are not UTF-8 are replaced, so that one bad character costs no message; a number
    that is not finite, for which JSON has no word, is read as null.
    """
    try:
        message = _DECODER.decode(raw.decode(errors="replace"))
    except (ValueError, RecursionError):
        return Line(raw, None)
    return Line(raw, message if isinstance(message, dict) else None)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def write_line(message: JSON) -> bytes:
    """Return *message* as one line, with its end.

    Raises:
        ConfigError: as `encode`.
    """
    return encode(message) + b"\n"


def encode(message: JSON) -> bytes:
    """Return *message* as compact JSON in UTF-8.

    A program may end itself over a line that is no JSON, so what cannot be written down is refused
    before any of it is sent.

    Raises:
        ConfigError: a text in it holds half of a surrogate pair, a number is not finite, or a value
            is of no type that JSON has.
    """
    try:
        compact = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return compact.encode()
    except UnicodeEncodeError as error:
        msg = "the text holds half of a surrogate pair, so it is no Unicode and cannot be sent"
        raise ConfigError(msg) from error
    except (TypeError, ValueError) as error:
        msg = f"this cannot be sent as JSON: {error}"
        raise ConfigError(msg) from error
