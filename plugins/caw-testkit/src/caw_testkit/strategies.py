"""What `Hypothesis <https://hypothesis.readthedocs.io>`_ draws to test a plugin with.

A decoder gets what a program's next version may write: `mutated` takes lines that a real one wrote
and changes them, `json_values` is any JSON at all, `pieces` cuts a stream of bytes anywhere. A
storage gets `values` of every kind. Needs the extra ``caw-testkit[fuzz]``::

    @given(mutated(RECORDED))
    def test_no_message_breaks_the_decoder(messages):
        decoder = MyDecoder()
        events = [event for message in messages for event in decoder.decode(message)]
        assert check_values(events) == []
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import operator
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from hypothesis import strategies as st

from caw_core import blocks, events
from caw_core.blocks import JSON, Block, UnknownBlock
from caw_core.events import Event, UnknownEvent
from caw_core.trajectory import Trajectory

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["json_values", "mutated", "pieces", "split_deltas", "values"]

T = TypeVar("T")
Stream = TypeVar("Stream", str, bytes)

_DELTAS: Mapping[type[Event], str] = {
    events.TextDelta: "text",
    events.ThinkingDelta: "text",
    events.ToolArguments: "delta",
    events.ToolOutput: "delta",
}
"""The events that carry a part of a text, and the member that it is."""

_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_EITHER = st.booleans()
_HUGE = 10**400
"""No float is as large, and `json.loads` reads it all the same."""
_EXTREMES: Mapping[type, tuple[JSON, ...]] = {
    bool: (None, 1, "true"),
    float: (-1.0, 1e308, _HUGE, math.nan, math.inf, True),
    int: (-1, 0, 1 << 63, _HUGE, -_HUGE, math.nan, True),
    str: ("", "9" * 5000, "\ud800", "-1", 7),
}
"""For a value of each type, those at which a reader that expects such a one may go wrong."""
_NESTED: Mapping[object, SearchStrategy[Any]] = {
    Event: st.builds(events.TextDelta, text=st.text(max_size=10)),
    Trajectory: st.builds(Trajectory, session_id=st.text(max_size=10), provider=st.text()),
}
"""Members that hold a value of the kind that they are in, which would never come to an end."""


# ------------------------------------------------------------------------------------------- JSON


def json_values(*, names: Sequence[str] = ()) -> SearchStrategy[JSON]:
    """Draw any JSON value that every reader of JSON takes.

    Args:
        names: names of members that are worth trying, beside any others.
    """
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    members = texts | st.sampled_from(names) if names else texts
    return st.recursive(
        st.none() | st.booleans() | st.integers() | _FINITE | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
        max_leaves=6,
    )


def mutated(messages: Sequence[JSON], *, changes: int = 6) -> SearchStrategy[list[JSON]]:
    """Draw what a program might write that is not quite the one that wrote *messages*.

    Somewhere in them values are replaced, by such of another type or beyond what can be expected
    (huge, negative, not finite, half of a character), members are renamed, and messages are left
    out, told twice or at another place.

    Args:
        messages: what a real program wrote, as JSON values, in order.
        changes: how many values are changed at most; at least one is.
    """
    text = json.dumps(list(messages))
    junk = json_values(names=sorted(_names(messages)))
    # Each member that there is, however deep and rare, is to be changed as often as any other.
    members: dict[tuple[object, ...], list[list[Any]]] = {}
    for place in _places(list(messages), []):
        kind = tuple("" if isinstance(key, int) else key for key in place)
        members.setdefault(kind, []).append(place)
    places = st.sampled_from(list(members.values())).flatmap(st.sampled_from)

    @st.composite
    def change(draw: DrawFn) -> list[JSON]:
        told: list[JSON] = json.loads(text)
        for _ in range(draw(st.integers(1, changes))):
            _change(draw, told, draw(places), junk)
        for _ in range(draw(st.integers(0, 2))):
            _exchange(draw, told)
        return told

    return change()


def _names(value: JSON) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list | tuple) else set()


def _places(value: JSON, path: list[Any]) -> Iterator[list[Any]]:
    """Yield the way to each value inside of *value*."""
    if not isinstance(value, dict | list):
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield [*path, key]
        yield from _places(item, [*path, key])


def _change(draw: DrawFn, told: JSON, path: list[Any], junk: SearchStrategy[JSON]) -> None:
    *way, key = path
    try:
        place = functools.reduce(operator.getitem, way, told)
        old = place[key]
    except (LookupError, TypeError):
        place = None
    if not isinstance(place, dict | list):
        # An earlier change has taken it away.
        return
    if isinstance(place, dict) and not draw(st.integers(0, 3)):
        place[draw(st.sampled_from([*place, f"{key}2"]))] = place.pop(key)
        return
    extremes = _EXTREMES.get(type(old), ())
    if draw(_EITHER) and extremes:
        junk = st.sampled_from(extremes)
    place[key] = draw(junk)


def _exchange(draw: DrawFn, told: list[JSON]) -> None:
    """Leave a message out, or tell it again at another place."""
    keys = st.integers(0, len(told) - 1)
    message = told.pop(draw(keys)) if draw(_EITHER) else told[draw(keys)]
    if draw(_EITHER):
        told.insert(draw(st.integers(0, len(told))), message)


def pieces(data: Stream | SearchStrategy[Stream]) -> SearchStrategy[list[Stream]]:
    """Draw the parts of a text, or of a stream of bytes, cut anywhere; some may be empty."""
    whole = data if isinstance(data, st.SearchStrategy) else st.just(data)

    @st.composite
    def cut(draw: DrawFn) -> list[Stream]:
        stream = draw(whole)
        cuts: list[int] = draw(st.lists(st.integers(0, len(stream)), max_size=6))
        bounds = [0, *sorted(cuts), len(stream)]
        return [stream[a:b] for a, b in itertools.pairwise(bounds)]

    return cut()


# ------------------------------------------------------------------------------------------ values


def values(kind: type[T]) -> SearchStrategy[T]:
    """Draw any value of *kind*, with members in ``extra`` that nobody knows.

    Args:
        kind: a value of caw's, such as `caw_core.Turn` or `caw_core.UsageStats`. `Block` and
            `Event` stand for all of their kinds, unknown ones included.
    """
    if kind is Block:
        return st.one_of(*map(_built, _kinds(blocks, Block, UnknownBlock)), _unknown(UnknownBlock))
    if kind is Event:
        return st.one_of(*map(_built, _kinds(events, Event, UnknownEvent)), _unknown(UnknownEvent))
    found: SearchStrategy[T] = _built(kind)
    return found


def split_deltas(told: Iterable[Event]) -> SearchStrategy[list[Event]]:
    """Draw *told* with each delta cut into several, which must fold to the same turn."""

    @st.composite
    def split(draw: DrawFn) -> list[Event]:
        parts: list[Event] = []
        for event in told:
            member = _DELTAS.get(type(event), "")
            texts = draw(pieces(getattr(event, member))) if member else [""]
            parts += (attrs.evolve(event, **({member: text} if member else {})) for text in texts)
        return parts

    return split()


def _kinds(module: object, base: type, unknown: type) -> list[Any]:
    found = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, base) and kind not in (base, unknown)]


def _unknown(kind: Any) -> SearchStrategy[Any]:
    raw = st.builds(lambda raw, tag: {**raw, "type": f"later-{tag}"}, _objects(), st.text())
    return st.builds(kind, raw=raw)


def _objects() -> SearchStrategy[dict[str, JSON]]:
    return st.dictionaries(st.text(max_size=5), json_values(), max_size=3)


def _built(kind: Any) -> SearchStrategy[Any]:
    hints = typing.get_type_hints(kind, localns={"Trajectory": Trajectory})
    parts = {field.name: _of_type(hints[field.name]) for field in attrs.fields(kind)}
    # No member of a document is called so, and raw output is no part of one.
    names = st.text(max_size=5).map("x_{}".format) | st.just("extra")
    parts["extra"] = st.dictionaries(names, json_values(), max_size=2)
    parts.pop("raw_output", None)
    return st.builds(kind, **parts)


def _of_type(hint: Any) -> SearchStrategy[Any]:  # noqa: PLR0911  # one for each kind
    plain: dict[object, SearchStrategy[Any]] = {
        str: st.text(max_size=10),
        int: st.integers(),
        bool: st.booleans(),
        float: _FINITE | st.integers(),
        type(None): st.none(),
        Any: json_values(),
    }
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in plain:
        return plain[hint]
    if hint in _NESTED:
        return _NESTED[hint]
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of_type(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return _objects()
    if attrs.has(hint):
        return values(hint)
    return st.one_of(*map(_of_type, arguments))
