"""How a function becomes a tool: its schema, its description, and what is refused."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pydantic
import pytest

from caw_core import Agent
from caw_core.errors import ConfigError
from caw_tools import ToolContext, ToolKit, tool
from caw_tools.signature import PythonTool


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Size(pydantic.BaseModel):
    width: int


def properties(function: Any) -> dict[str, Any]:
    schema = PythonTool.of(function).offer.input_schema
    return dict(schema["properties"])


def test_types_defaults_and_docstring_make_the_schema() -> None:
    def find(word: str, limit: int = 10) -> str:
        """Find a word.

        Args:
            word: what to look for.
            limit: how many lines at most.
        """
        return word * limit

    offer = PythonTool.of(find).offer
    assert (offer.name, offer.description) == ("find", "Find a word.")
    assert offer.input_schema == {
        "type": "object",
        "properties": {
            "word": {"type": "string", "description": "what to look for."},
            "limit": {
                "type": "integer",
                "default": 10,
                "description": "how many lines at most.",
            },
        },
        "required": ["word"],
        "additionalProperties": False,
    }


def test_what_a_field_says_goes_before_the_docstring() -> None:
    def find(word: Annotated[str, pydantic.Field(description="the field's")]) -> str:
        """Find.

        Args:
            word: the docstring's.
        """
        return word

    assert properties(find)["word"]["description"] == "the field's"


def test_decorator_names_and_describes() -> None:
    @tool("look_up", description="Look it up.", title="Look up", annotations={"readOnlyHint": True})
    def find(word: str) -> str:
        return word

    offer = PythonTool.of(find).offer
    assert (offer.name, offer.description, offer.title) == ("look_up", "Look it up.", "Look up")
    assert offer.annotations is not None
    assert offer.annotations.read_only_hint is True
    assert find("a") == "a"


def test_decorator_works_without_parentheses() -> None:
    @tool
    def find() -> str:
        return "found"

    assert PythonTool.of(find).offer.name == "find"


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (int | None, None, None),
        (list[int], [1, 2], [1, 2]),
        (dict[str, float], {"a": 0.5}, {"a": 0.5}),
        (Point, {"x": 1}, Point(1, 0)),
        (Size, {"width": 3}, Size(width=3)),
        (list[int], "[3]", [3]),
        (str | None, '{"a": 1}', '{"a": 1}'),
        (str | None, "null", "null"),
    ],
    ids=str,
)
def test_arguments_arrive_as_their_types(annotation: Any, given: Any, expected: Any) -> None:
    def take(value) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - given below
        pass

    take.__annotations__["value"] = annotation
    assert PythonTool.of(take).arguments({"value": given}) == {"value": expected}


def test_context_is_no_argument() -> None:
    def wait(seconds: float, ctx: ToolContext) -> None:
        pass

    def idle(ctx) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - by its name
        pass

    assert (list(properties(wait)), list(properties(idle))) == (["seconds"], [])


def test_partial_with_a_name_is_a_tool() -> None:
    def power(base: int, exponent: int) -> int:
        """Raise a number to a power."""
        return base**exponent

    square = tool("square")(partial(power, exponent=2))
    assert PythonTool.of(square).function(base=3) == 9
    assert PythonTool.of(square).offer.description == "Raise a number to a power."


def untyped(value) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the point
    """Take a value of no type."""


def many(*values: int) -> None:
    """Take any number."""


def any_names(**values: int) -> None:
    """Take any names."""


def by_place(value: int, /) -> None:
    """Take a value by its place."""


def takes_object(value: threading_lock) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Take something of a type that is not there."""


class Opaque:
    """Nothing that JSON could hold."""


def takes_opaque(value: Opaque) -> None:
    """Take it."""


def opaque_default(value: Any = Opaque()) -> None:  # noqa: B008 - the point
    """Take anything."""


@pytest.mark.parametrize(
    "function",
    [untyped, many, any_names, by_place, takes_object, takes_opaque, opaque_default],
    ids=lambda function: function.__name__,
)
def test_what_no_model_can_call_is_refused_by_name_with_the_agent(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(ConfigError, match=function.__name__):
        Agent("echo", stateless_tools=[function])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are called 'untyped'"):
        Agent("echo", stateless_tools=[tool("untyped")(lambda: 1), tool("untyped")(lambda: 2)])


@pytest.mark.parametrize("given", [3, "add", int])
def test_what_is_no_function_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="a tool is a function"):
        Agent("echo", stateless_tools=[given])  # type: ignore[list-item]


class Empty(ToolKit):
    """Has no tools."""


class Spaced(ToolKit, server_name="my notes"):
    """Has a name that no agent could use."""

    @tool
    def tell(self) -> str:
        """Tell something."""
        return "something"


class Needy(ToolKit):
    """Cannot be made by caw."""

    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    def tell(self) -> str:
        """Tell the name."""
        return self.name


class Faulty(ToolKit):
    """Has a tool that nobody can call; making one fails the test."""

    def __init__(self) -> None:
        pytest.fail("nothing is made before a session opens")

    @tool
    def bad(self, *values: int) -> None:
        """Take any number."""


@pytest.mark.parametrize(
    ("kit", "message"),
    [
        (Empty, "Empty has no tools"),
        (Empty(), "Empty has no tools"),
        (Spaced, "name is letters, digits"),
        (Needy, "Needy cannot be made without arguments"),
        (Faulty, r"Faulty\.bad"),
        (object(), "is no ToolKit"),
    ],
)
def test_kit_that_cannot_be_served_is_refused_with_the_agent(kit: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Agent("echo", tool_servers=[kit])
