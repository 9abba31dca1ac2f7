"""Members of JSON that another program wrote, read by type and without ever raising.

A program's next version may leave a member out or give it another type. A decoder that reads with
these goes on with what is there::

    from caw_core.json_fields import mapping, text

    words = text(mapping(message, "delta"), "text")

In all of them *data* may be any JSON value, also one that is no object.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_core.blocks import JSON


_LARGEST_COUNT = 1 << 53


def text(data: JSON, name: str) -> str:
    """Return the member if it is a string, else ``""``."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def number(data: JSON, name: str) -> int | None:
    """Return the member if it is an integer, else None; ``true`` is no integer."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def count(data: JSON, name: str) -> int:
    """Return the member if it counts something, an integer from 0 to 2**53, else 0.

    Beyond that a JSON number is not exact with every reader, and nothing is counted that far.
    """
    found = number(data, name) or 0
    return found if 0 <= found <= _LARGEST_COUNT else 0


def decimal(data: JSON, name: str) -> float | None:
    """Return the member if it is a finite number, else None; ``true`` is no number."""
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def mapping(data: JSON, name: str) -> dict[str, JSON]:
    """Return the member if it is an object, else an empty one."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def objects(data: JSON, name: str) -> list[dict[str, JSON]]:
    """Return the objects in the member, which should be a list of them."""
    value = data.get(name) if isinstance(data, dict) else None
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def strings(data: JSON, name: str) -> list[str]:
    """Return the strings in the member, which should be a list of them."""
    value = data.get(name) if isinstance(data, dict) else None
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
