"""A JSON Schema for an attrs class, and the way back from JSON."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from caw_core.errors import ConfigError

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def attrs_schema(cls: type) -> dict[str, Any]:
    """Return the schema of *cls*: its fields, those without default being required.

    Raises:
        ConfigError: a field has a type that JSON Schema cannot say.
    """
    hints = typing.get_type_hints(cls)
    fields = [field for field in attrs.fields(cls) if field.init]
    return {
        "type": "object",
        "title": cls.__name__,
        "properties": {field.name: _schema_of(hints[field.name], field.name) for field in fields},
        "required": [field.name for field in fields if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _schema_of(hint: Any, name: str) -> dict[str, Any]:  # noqa: PLR0911 - one per kind of type
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(arg, name) for arg in args]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if isinstance(hint, type) and attrs.has(hint):
        return attrs_schema(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema_of(args[1], name)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _schema_of(args[0], name)}
    msg = f"the field {name!r} has the type {hint!r}, for which there is no JSON Schema"
    raise ConfigError(msg)


def attrs_check(cls: type) -> Callable[[Any], Any]:
    """Return a function that makes a *cls* of JSON, strictly; it raises `ValueError`."""
    from cattrs import BaseValidationError, Converter, transform_error

    converter = Converter(forbid_extra_keys=True)
    for scalar in (str, int, bool):
        converter.register_structure_hook(scalar, _strict(scalar))

    def number(value: Any, _: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"expected a number, not {value!r}"
            raise TypeError(msg)
        return float(value)

    converter.register_structure_hook(float, number)

    def check(value: Any) -> Any:
        try:
            return converter.structure(value, cls)
        except BaseValidationError as error:
            raise ValueError("; ".join(transform_error(error))) from error

    return check


def _strict(scalar: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: object) -> Any:
        if type(value) is not scalar:
            msg = f"expected {scalar.__name__}, not {value!r}"
            raise TypeError(msg)
        return value

    return structure
