"""`tool`: what marks a function or a method as a tool, and what it says besides its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

import attrs

from caw_core.errors import ConfigError

_F = TypeVar("_F", bound=Callable[..., Any])

_MARK: Final = "__caw_tool__"


@attrs.frozen(kw_only=True)
class ToolFacts:
    """What `tool` was told.

    Attributes:
        name: the tool's name; None for the function's.
        description: what the model reads; None for the docstring.
        title: a name for people.
        annotations: hints for the agent, as ``mcp.types.ToolAnnotations`` or a mapping of its
            fields, e.g. ``{"readOnlyHint": True}``.
        structured_output: send the result as data too; None where its type is an object.
    """

    name: str | None = None
    description: str | None = None
    title: str | None = None
    annotations: Any = None
    structured_output: bool | None = None


@overload
def tool(name: _F, /) -> _F: ...


@overload
def tool(
    name: str | None = None,
    *,
    description: str | None = None,
    title: str | None = None,
    annotations: Any = None,
    structured_output: bool | None = None,
) -> Callable[[_F], _F]: ...


def tool(
    name: str | Callable[..., Any] | None = None,
    *,
    description: str | None = None,
    title: str | None = None,
    annotations: Any = None,
    structured_output: bool | None = None,
) -> Any:
    """Mark a function, or a method of a `caw_tools.ToolKit`, as a tool; it stays what it is.

    Use it with or without parentheses. A function that is given as it is to
    ``Agent(stateless_tools=[…])`` is a tool without this mark, too.

    Args:
        name: what the agent calls it; default the function's name.
        description: what the model reads of it; default the docstring, whose section on arguments
            describes these.
        title: a name for people.
        annotations: hints for the agent about what it does: ``mcp.types.ToolAnnotations``, or a
            mapping such as ``{"readOnlyHint": True}``.
        structured_output: send the result as data besides the text; default when its type is an
            object (dataclass, pydantic model, ``TypedDict``, ``dict[str, …]``).

    Raises:
        ConfigError: it does not mark a function.
    """
    if name is not None and not isinstance(name, str):
        return _marked(name, ToolFacts())
    facts = ToolFacts(
        name=name,
        description=description,
        title=title,
        annotations=annotations,
        structured_output=structured_output,
    )
    return lambda function: _marked(function, facts)


def facts_of(function: Any) -> ToolFacts | None:
    """Return what `tool` was told of *function*; None where it is not marked."""
    facts = getattr(function, _MARK, None)
    return facts if isinstance(facts, ToolFacts) else None


def _marked(function: Any, facts: ToolFacts) -> Any:
    if isinstance(function, staticmethod | classmethod):
        msg = f"write @{type(function).__name__} above @tool, not below it"
        raise ConfigError(msg)
    if not callable(function) or inspect.isclass(function):
        msg = f"@tool marks a function, not {function!r}"
        raise ConfigError(msg)
    setattr(function, _MARK, facts)
    return function
