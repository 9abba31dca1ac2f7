"""Decoders on what a program may write that is not quite what the recorded one wrote."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import CawError
from caw_core.events import Event, VendorEvent
from caw_core.fold import TurnFold
from caw_core.process import LineSplitter
from caw_core.serialize import turn_to_dict
from caw_provider_opencode.sse import SseParser
from caw_testkit.conformance import check_values
from caw_testkit.strategies import json_values, mutated, pieces

from .subjects import SUBJECTS, Opencode, Subject

if TYPE_CHECKING:
    from caw_core.trajectory import Turn

every = pytest.mark.parametrize("kind", SUBJECTS, ids=lambda kind: kind.__name__)


def wire(kind: type[Subject], messages: list[Any]) -> bytes:
    """Write messages as the program does."""
    lines = [kind.prefix + json.dumps(message).encode() + kind.end for message in messages]
    return b"".join(lines)


def decode(kind: type[Subject], chunks: list[bytes]) -> list[Event]:
    """Decode a turn, to its end."""
    subject, told = kind(), []
    splitter = SseParser() if kind is Opencode else LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    if isinstance(splitter, LineSplitter):
        lines += splitter.flush()
    for line in lines:
        told += subject.feed(line)
    with contextlib.suppress(CawError):
        subject.finish()
    return told


def folded(events: list[Event]) -> Turn:
    fold = TurnFold(index=0, prompt="p")
    for event in events:
        fold.add(event)
    return fold.turn()


@every
def test_recorded_turn_is_decoded_without_fault(kind: type[Subject]) -> None:
    events = decode(kind, [wire(kind, kind.recorded)])
    assert check_values(events) == []
    assert folded(events).output
    assert not [e for e in events if isinstance(e, VendorEvent) and e.kind == "unreadable"]


@every
@given(data=st.data())
def test_nothing_that_a_program_writes_breaks_its_decoder(
    kind: type[Subject], data: st.DataObject
) -> None:
    messages = data.draw(mutated(kind.recorded))
    events = decode(kind, [wire(kind, messages)])
    assert check_values(events) == []
    # What is stored is JSON for every reader, not only for Python's.
    json.dumps(turn_to_dict(folded(events)), allow_nan=False)


@every
@given(chunks=pieces(st.binary(max_size=300)))
def test_no_bytes_break_the_decoder(kind: type[Subject], chunks: list[bytes]) -> None:
    assert check_values(decode(kind, chunks)) == []


@every
@given(data=st.data())
def test_it_does_not_matter_where_the_stream_is_cut(
    kind: type[Subject], data: st.DataObject
) -> None:
    stream = wire(kind, kind.recorded)
    chunks = data.draw(pieces(stream))
    assert decode(kind, chunks) == decode(kind, [stream])


@every
@given(data=st.data())
def test_message_of_an_unknown_kind_is_kept_and_changes_nothing_else(
    kind: type[Subject], data: st.DataObject
) -> None:
    messages = json.loads(json.dumps(kind.recorded))
    place = data.draw(st.integers(0, len(messages) - 1))
    new = json.loads(json.dumps(messages[place]))
    kind.body(new)[kind.kind] = "something/new"
    mark = data.draw(json_values())
    # As the one beside it, so that it belongs to this turn where messages say that.
    kind.body(new).setdefault("params", kind.body(new).setdefault("properties", {}))["new"] = mark
    events = decode(kind, [wire(kind, [*messages[:place], new, *messages[place:]])])
    known = decode(kind, [wire(kind, messages)])
    kept = [event for event in events if event not in known]
    assert [type(event) for event in kept] == [VendorEvent]
    assert "something/new" in kept[0].kind  # type: ignore[attr-defined]  # the line above says so
    assert json.dumps(mark) in json.dumps(kept[0].raw)  # type: ignore[attr-defined]
    assert folded(events) == folded(known)


@every
@given(data=st.data())
def test_part_of_an_unknown_kind_is_kept(kind: type[Subject], data: st.DataObject) -> None:
    messages = json.loads(json.dumps(kind.recorded))
    part = data.draw(st.sampled_from([part for each in messages for part in kind.parts(each)]))
    part |= {"type": "something-new", "new": "canary"}
    kept = [event for event in decode(kind, [wire(kind, messages)]) if "canary" in repr(event)]
    assert [type(event) for event in kept] == [VendorEvent]
    assert "something-new" in repr(kept)
