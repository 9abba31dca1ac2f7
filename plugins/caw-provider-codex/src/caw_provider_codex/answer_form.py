"""Answers in a given form: codex's own mechanism, and what it asks of a schema.

codex sends the schema to the service with ``strict: true`` (observed with 0.169.0). The service
then asks that every object names all its members as required and allows no others:
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from caw_core.events import StructuredDone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON

ASK: Final = """Answer with one JSON value and nothing else: no explanation, no code fence. \
It must satisfy this JSON Schema:
{schema}"""

_LISTS: Final = ("anyOf", "prefixItems")
_MAPS: Final = ("$defs", "definitions", "properties")
_UNKNOWN: Final = frozenset(
    {
        "allOf",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "then",
    },
)


class _NotStrictError(Exception):
    """The schema says something that has no strict form."""


def strict_schema(schema: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """Return *schema* in the strict form; what satisfies that satisfies *schema* too.

    Returns:
        None if it has none: its root is no object, or it has open objects in it.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        return None
    try:
        return _closed(schema)
    except _NotStrictError:
        return None


def asked_in_words(schema: Mapping[str, JSON]) -> str:
    """Return what is said to the model for a schema without a strict form."""
    return ASK.format(schema=json.dumps(dict(schema)))


def structured_answer(said: str) -> Iterator[StructuredDone]:
    """Yield the value that the agent's last text is, if it is one.

    What to do about an answer of the wrong form is the caller's to say.
    """
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return
    yield StructuredDone(value=value)


def _closed(schema: JSON) -> dict[str, JSON]:
    if not isinstance(schema, Mapping) or _UNKNOWN & schema.keys():
        raise _NotStrictError
    closed = {name: value for name, value in schema.items() if name != "default"}
    for name in _LISTS:
        if name in closed:
            closed[name] = [_closed(entry) for entry in closed[name]]
    for name in _MAPS:
        if name in closed:
            closed[name] = {key: _closed(entry) for key, entry in closed[name].items()}
    if "items" in closed:
        closed["items"] = _closed(closed["items"])
    kind = closed.get("type")
    if kind is None and not {"$ref", "anyOf", "enum", "const"} & closed.keys():
        raise _NotStrictError
    _close_object(closed, kind if isinstance(kind, list) else [kind])
    return closed


def _close_object(closed: dict[str, JSON], kinds: list[JSON]) -> None:
    if "object" in kinds or "properties" in closed:
        if closed.get("additionalProperties", False) is not False or "properties" not in closed:
            raise _NotStrictError
        closed["additionalProperties"] = False
        closed["required"] = list(closed["properties"])
    if "array" in kinds and "items" not in closed:
        raise _NotStrictError
