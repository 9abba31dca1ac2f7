"""How large a value is, as far as that is text."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import attrs


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind)) if attrs.has(kind) else ()


def size_of(value: object) -> int:
    """Return how many characters and bytes *value* holds, however deep.

    Args:
        value: text, bytes, attrs values, mappings, lists and tuples of such; others count nothing.
    """
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    kind: type = type(value)
    return sum(size_of(getattr(value, name)) for name in _names(kind))
