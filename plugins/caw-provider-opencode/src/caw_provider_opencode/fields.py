"""Reading members of JSON objects that another program wrote, without ever raising."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_core.blocks import JSON


def text(data: JSON, name: str) -> str:
    """Return the member if it is a string, else ``""``."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def number(data: JSON, name: str) -> int | None:
    """Return the member if it is an integer, else None."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


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
