"""What a JSON document may hold, read strictly and copied on the way.

Scalars are what they are: ``"false"`` is not True, and True is not 1; an int will do for a float.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args, get_origin

from cattrs import Converter

from caw_core.blocks import JSON

Writer: TypeAlias = Callable[[Any], dict[str, Any]]
"""Makes the document of a value."""

Reader: TypeAlias = Callable[[Any, Any], Any]
"""Makes a value of a document; the second argument is the wanted type."""


def strict_converter() -> Converter:
    """Return a converter that knows scalars, arrays, objects and literals, and no values yet."""
    converter = Converter(detailed_validation=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _strict(scalar))
    converter.register_structure_hook_func(_is_any, lambda value, _: json_copy(value))
    converter.register_unstructure_hook_func(_is_any, json_copy)
    converter.register_structure_hook_factory(_is_literal, _one_of)
    converter.register_structure_hook_func(_is_object, _read_object)
    converter.register_unstructure_hook_func(_is_object, json_copy)
    converter.register_structure_hook_factory(_is_tuple, _tuple_reader)
    converter.register_unstructure_hook_factory(_is_tuple, _tuple_writer)
    return converter


def _is_any(cls: Any) -> bool:
    return cls is Any


def _is_literal(cls: Any) -> bool:
    return str(get_origin(cls)) == "typing.Literal"


def _is_object(cls: Any) -> bool:
    return get_origin(cls) is Mapping


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _strict(scalar: type) -> Reader:
    accepted = (int, float) if scalar is float else scalar

    def check(value: object, _: object) -> Any:
        if type(value) is scalar:
            return value
        if not isinstance(value, accepted) or (isinstance(value, bool) and scalar is not bool):
            msg = f"must be {scalar.__name__}, not {type(value).__name__}"
            raise TypeError(msg)
        if scalar is float and isinstance(value, int) and abs(value) > sys.float_info.max:
            msg = "must be a number that a float can be as large as"
            raise ValueError(msg)
        return value

    return check


def _one_of(literal: Any) -> Reader:
    choices = get_args(literal)

    def check(value: object, _: object) -> Any:
        if not isinstance(value, str) or value not in choices:
            msg = f"must be one of {', '.join(choices)}"
            raise ValueError(msg)
        return value

    return check


def _tuple_reader(cls: Any, converter: Converter) -> Reader:
    items: Any = types.GenericAlias(list, get_args(cls)[0])
    read = converter.get_structure_hook(items)
    return lambda value, _: tuple(read(_listed(value), items))


def _tuple_writer(cls: Any, converter: Converter) -> Callable[[Any], list[Any]]:
    write = converter.get_unstructure_hook(get_args(cls)[0])
    return lambda value: [write(part) for part in value]


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        msg = f"must be an array, not {type(value).__name__}"
        raise TypeError(msg)
    return list(value)


def object_of(value: object) -> Mapping[str, Any]:
    """Return *value* if it is an object, or raise `TypeError`."""
    # A dict is told at once; to ask an abstract class takes its time.
    if not isinstance(value, (dict, Mapping)):
        msg = f"must be an object, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def _read_object(value: object, _: object) -> JSON:
    return json_copy(object_of(value))


_SCALARS = frozenset({type(None), bool, str, int, float})


def json_copy(value: object) -> JSON:
    """Return a copy of *value*, however deep; raise `TypeError` for what JSON has no word for."""
    # Copied, so that whoever changes a document does not change a value, which is frozen.
    if type(value) in _SCALARS or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (dict, Mapping)):
        copy = {}
        for key, item in value.items():
            if not isinstance(key, str):
                msg = f"a member's name must be str, not {type(key).__name__}"
                raise TypeError(msg)
            copy[key] = item if type(item) in _SCALARS else json_copy(item)
        return copy
    if isinstance(value, list | tuple):
        return [json_copy(item) for item in value]
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)
