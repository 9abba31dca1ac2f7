"""The fold, and a session around it, on events in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caw_core import Agent, PluginRegistry, ProviderInfo, hookimpl
from caw_core.errors import ProviderError
from caw_core.events import Event, ToolArguments, ToolStarted, TurnEnded, TurnStarted
from caw_core.fold import TurnFold
from caw_core.provider import Prompt, StartRequest
from caw_core.serialize import event_from_dict, event_to_dict, turn_from_dict, turn_to_dict
from caw_testkit.strategies import split_deltas, values

if TYPE_CHECKING:
    from caw_core.trajectory import Turn

told = st.lists(values(Event), max_size=12)


def fold(events: list[Event]) -> Turn:
    folding = TurnFold(index=0, prompt="p")
    for event in events:
        folding.add(event)
    return folding.turn()


@given(told)
def test_no_events_break_the_fold_and_its_turn_can_be_stored(events: list[Event]) -> None:
    turn = fold(events)
    assert turn_from_dict(turn_to_dict(turn)) == turn


@given(told, st.data())
def test_it_does_not_matter_where_deltas_are_split(
    events: list[Event], data: st.DataObject
) -> None:
    assert fold(data.draw(split_deltas(events))) == fold(events)


@given(told)
def test_turn_may_be_taken_at_any_moment_without_changing_the_end(events: list[Event]) -> None:
    watched = TurnFold(index=0, prompt="p")
    for event in events:
        watched.add(event)
        watched.turn()
    assert watched.turn() == fold(events)


@given(told)
def test_events_that_were_stored_fold_to_the_same_turn(events: list[Event]) -> None:
    assert fold([event_from_dict(event_to_dict(event)) for event in events]) == fold(events)


def test_arguments_nested_without_end_leave_the_earlier_ones() -> None:
    started = ToolStarted(call_id="1", name="t", arguments={"a": 1})
    turn = fold([started, ToolArguments(call_id="1", delta='{"a":' * 100_000), TurnEnded()])
    assert turn.tool_calls[0].arguments == {"a": 1}


# ----------------------------------------------------------------------------------- in a session


class Telling:
    """A provider, and its one session, that yields what a test drew."""

    caw_api = "1.0"
    resume_key = "k"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="telling", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> Telling:
        return self

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        yield from self.events
        if self.error is not None:
            raise self.error

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def telling() -> Iterator[tuple[Telling, Any]]:
    provider = Telling()
    registry = PluginRegistry(autoload=False)
    registry.register_provider("telling", provider)
    with Agent("telling", registry=registry).start_session() as session:
        yield provider, session


@settings(max_examples=settings().max_examples // 4)
@given(events=told, fails=st.booleans())
def test_every_turn_of_a_session_begins_once_and_ends_once(
    telling: tuple[Telling, Any], events: list[Event], fails: bool
) -> None:
    provider, session = telling
    provider.events, provider.error = events, ProviderError("no more") if fails else None
    seen: list[Event] = []
    ended = any(isinstance(event, TurnEnded) for event in events)
    stream = session.stream("go")
    try:
        seen.extend(stream)
    except ProviderError:
        assert fails or session.trajectory.turns[-1].status == "failed"
    else:
        assert ended or not fails
    assert [type(event) for event in seen].count(TurnEnded) == 1
    assert isinstance(seen[0], TurnStarted)
    assert isinstance(seen[-1], TurnEnded)
    turn = session.trajectory.turns[-1]
    assert turn.status in {"completed", "interrupted", "failed"}
    assert fold([*seen]).output == turn.output
    # What the core does not know is told as it came.
    unknown = [event for event in events[: _end(events)] if type(event).__name__ == "UnknownEvent"]
    assert [event for event in seen if event in unknown] == unknown


def _end(events: list[Event]) -> int:
    ends = [place for place, event in enumerate(events) if isinstance(event, TurnEnded)]
    return ends[0] if ends else len(events)
