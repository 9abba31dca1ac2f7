"""Documents as JSON text in UTF-8, as storages keep them.

orjson makes it where it is installed (the extra ``fast``, which storages ask for), json elsewhere:
the same text, but for the form of some floats (``1e16`` for ``1e+16``), in a fifth of the time.
Left to json is what orjson refuses, such as types derived from the plain ones, and a float that is
not finite, which it writes as null (https://github.com/ijl/orjson, "Types"). A member of an
enumeration is written as its value.

Reading stays json's, since orjson makes a float of a whole number past 64 bits.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from caw_core.blocks import JSON

__all__ = ["document_bytes", "document_lines"]

_UNKNOWN_COST = b'"cost_usd":null'
"""Of the nulls that nearly every document has none stands for a float that is not finite."""

_SCALARS = frozenset({str, int, bool, type(None)})

# Documents are made of frozen values, so they hold no circles.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


def document_bytes(document: JSON) -> bytes:
    """Return *document*, one of `caw_core.serialize`'s, as JSON on one line without its end.

    Text stays as it is, since escapes would triple Greek or Cyrillic; only a document with half of
    a surrogate pair, which UTF-8 has no form for, is escaped.

    Raises:
        TypeError: it holds what JSON has no word for.
        RecursionError: it is nested too deeply.
    """
    return _text(document)


def document_lines(documents: Sequence[JSON]) -> bytes:
    """Return each document as `document_bytes` does, with a line's end after it."""
    return b"".join(_text(document) + b"\n" for document in documents)


def _text(document: JSON) -> bytes:
    fast = _fast()
    if fast is not None:
        # It refuses a whole number past 64 bits, half of a surrogate pair, and 255 levels.
        with contextlib.suppress(TypeError):
            text = fast(document)
            if text.count(b"null") == text.count(_UNKNOWN_COST) or _is_finite(document):
                return text
    return _plain_bytes(document)


def _plain_bytes(document: JSON) -> bytes:
    try:
        return _encode(document).encode()
    except UnicodeEncodeError:
        return _encode_ascii(document).encode()


@functools.cache
def _fast() -> Callable[[JSON], bytes] | None:
    try:
        import orjson
    except ImportError:
        return None
    options = (
        orjson.OPT_PASSTHROUGH_SUBCLASS
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
    )
    return functools.partial(orjson.dumps, option=options)


def _is_finite(document: JSON) -> bool:
    rest: list[Any] = [[document]]
    # It grows while it is gone through.
    for part in rest:
        for item in part.values() if isinstance(part, dict) else part:
            if type(item) in _SCALARS:
                continue
            if isinstance(item, dict | list | tuple):
                rest.append(item)
            elif isinstance(item, float) and not math.isfinite(item):
                return False
    return True
