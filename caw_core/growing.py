"""Events that are pieces of a text which grows, such as `caw_core.events.TextDelta`."""

from __future__ import annotations

from typing import Final, TypeVar

import attrs

from caw_core.events import Event, TextDelta, ThinkingDelta, ToolArguments, ToolOutput

_E = TypeVar("_E", bound=Event)

_MEMBERS: Final[dict[type[Event], tuple[str, str]]] = {
    TextDelta: ("text", "block_id"),
    ThinkingDelta: ("text", "block_id"),
    ToolArguments: ("delta", "call_id"),
    ToolOutput: ("delta", "call_id"),
}
"""The member that grows, and the one that says of what."""


def piece_of(event: Event) -> str | None:
    """Return the piece of text that *event* is; None if it is something whole."""
    members = _MEMBERS.get(type(event))
    return None if members is None else getattr(event, members[0])


def with_piece(event: _E, text: str) -> _E:
    """Return *event*, which is a piece, with another text."""
    return attrs.evolve(event, **{_MEMBERS[type(event)][0]: text})


def goes_on(before: Event, event: Event) -> bool:
    """Tell whether *event* is the next piece of what *before* is a piece of."""
    members = _MEMBERS.get(type(event))
    if members is None or type(before) is not type(event):
        return False
    return bool(getattr(before, members[1]) == getattr(event, members[1]))
