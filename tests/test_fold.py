from __future__ import annotations

import itertools
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.blocks import ImageBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.events import (
    Event,
    FileChanged,
    ImageDone,
    Notice,
    PlanUpdated,
    RawOutput,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    UsageReported,
    VendorEvent,
)
from caw_core.fold import TurnFold
from caw_core.trajectory import PlanEntry, Turn
from caw_core.usage import UsageStats


def fold(*events: Event) -> Turn:
    turn = TurnFold(index=0, prompt="p")
    for event in events:
        turn.add(event)
    return turn.turn()


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


Item = tuple[str, str, list[int]]
items = st.lists(
    st.tuples(
        st.sampled_from(["text", "thinking", "tool"]),
        st.text(min_size=1, max_size=20),
        st.lists(st.integers(min_value=0, max_value=20), max_size=4),
    ),
    max_size=8,
)


def told(item: Item, number: int, how: str) -> list[Event]:
    """Tell one piece of output as deltas, whole, or both."""
    kind, text, cuts = item
    block_id = f"b{number}"
    if kind == "tool":
        arguments = {"text": text}
        head: list[Event] = [
            ToolStarted(call_id=block_id, name="t", arguments={} if how == "deltas" else arguments),
        ]
        if how != "done":
            head += [
                ToolArguments(call_id=block_id, delta=part)
                for part in pieces(json.dumps(arguments), cuts)
            ]
            head += [ToolOutput(call_id=block_id, delta=part) for part in pieces(text, cuts)]
        output = None if how == "deltas" else text
        return [*head, ToolFinished(call_id=block_id, output=output)]
    delta, done = (TextDelta, TextDone) if kind == "text" else (ThinkingDelta, ThinkingDone)
    events: list[Event] = []
    if how != "done":
        events += [delta(text=part, block_id=block_id) for part in pieces(text, cuts)]
    if how != "deltas":
        events.append(done(text=text, block_id=block_id))
    return events


@given(items)
def test_deltas_whole_pieces_and_both_fold_to_the_same_turn(output: list[Item]) -> None:
    turns = [
        fold(*(event for n, item in enumerate(output) for event in told(item, n, how)))
        for how in ("deltas", "done", "both")
    ]
    assert turns[0] == turns[1] == turns[2]
    assert len(turns[0].output) == len(output)


@given(items, st.randoms(use_true_random=False))
def test_pieces_with_ids_may_come_interleaved(output: list[Item], random: Any) -> None:
    streams = [told(item, number, "both") for number, item in enumerate(output)]
    order = [number for number, stream in enumerate(streams) for _ in stream]
    # The first event of each piece decides its place, so those stay where they are.
    begun = [stream.pop(0) for stream in streams]
    order = [number for number, stream in enumerate(streams) for _ in stream]
    random.shuffle(order)
    mixed = [*begun, *(streams[number].pop(0) for number in order)]
    plain = [event for number, item in enumerate(output) for event in told(item, number, "both")]
    assert fold(*mixed) == fold(*plain)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_deltas_without_ids_are_one_text(parts: list[str]) -> None:
    (block,) = fold(*(TextDelta(text=part) for part in parts)).output
    assert block == TextBlock(text="".join(parts))


@given(items)
def test_turn_may_be_taken_at_any_moment_without_changing_the_end(output: list[Item]) -> None:
    events = [event for n, item in enumerate(output) for event in told(item, n, "both")]
    watched = TurnFold(index=0, prompt="p")
    for event in events:
        watched.add(event)
        watched.turn()
    assert watched.turn() == fold(*events)


def test_text_without_id_after_a_tool_is_a_new_block() -> None:
    turn = fold(
        TextDelta(text="a"),
        ToolStarted(call_id="1", name="t"),
        TextDelta(text="b"),
        TextDone(text="B"),
    )
    assert [block.type for block in turn.output] == ["text", "tool_use", "text"]
    assert turn.result == "B"


def test_text_without_id_after_a_whole_one_is_a_new_block() -> None:
    assert [b.text for b in fold(TextDone(text="a"), TextDelta(text="b")).output] == ["a", "b"]  # type: ignore[attr-defined]


def test_late_done_corrects_what_deltas_said() -> None:
    turn = fold(
        TextDelta(text="helo", block_id="1"),
        ToolStarted(call_id="c", name="t"),
        TextDone(text="hello", block_id="1"),
    )
    assert turn.output[0] == TextBlock(text="hello")


def test_text_and_thinking_of_one_id_are_two_blocks() -> None:
    turn = fold(TextDelta(text="a", block_id="1"), ThinkingDelta(text="b", block_id="1"))
    assert turn.output == (TextBlock(text="a"), ThinkingBlock(text="b"))


def test_empty_text_leaves_no_block() -> None:
    assert fold(TextDelta(text=""), TextDone(text="", block_id="2")).output == ()


def test_tool_without_a_result_stays_running() -> None:
    (call,) = fold(ToolStarted(call_id="1", name="t", arguments={"a": 1}), TurnEnded()).tool_calls
    assert (call.status, call.arguments) == ("running", {"a": 1})


def test_result_without_a_start_is_kept() -> None:
    (call,) = fold(ToolFinished(call_id="1", name="t", output="o", arguments={"a": 1})).tool_calls
    assert call == ToolUse(id="1", name="t", output="o", arguments={"a": 1})


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        ({}, ("completed", False)),
        ({"is_error": True}, ("failed", True)),
        ({"status": "failed", "is_error": True}, ("failed", True)),
        ({"status": "declined"}, ("declined", True)),
    ],
)
def test_status_of_a_tool(finished: dict[str, Any], expected: tuple[str, bool]) -> None:
    (call,) = fold(ToolFinished(call_id="1", **finished)).tool_calls
    assert (call.status, call.is_error) == expected


def test_streamed_output_holds_where_the_result_says_none() -> None:
    events = (ToolOutput(call_id="1", delta="a"), ToolOutput(call_id="1", delta="b"))
    assert fold(*events, ToolFinished(call_id="1")).tool_calls[0].output == "ab"
    assert fold(*events, ToolFinished(call_id="1", output="")).tool_calls[0].output == ""


def test_arguments_that_never_become_json_leave_the_earlier_ones() -> None:
    turn = fold(
        ToolStarted(call_id="1", name="t", arguments={"a": 1}),
        ToolArguments(call_id="1", delta='{"b": '),
        TurnEnded(),
    )
    assert turn.tool_calls[0].arguments == {"a": 1}


def test_usage_is_the_sum_of_what_each_call_used() -> None:
    usage = UsageStats(input_tokens=3, output_tokens=1, cost_usd=0.5, cost_source="reported")
    turn = fold(UsageReported(usage=usage, model="m"), UsageReported(usage=usage))
    assert (turn.usage.total_tokens, turn.usage.cost_usd, turn.model) == (8, 1.0, "m")


PRICED = UsageStats(input_tokens=3, cost_usd=0.1, cost_source="computed", price_table="t")
TOLD = UsageStats(output_tokens=1, cost_usd=0.7, cost_source="reported")


def test_cost_that_follows_takes_the_place_of_what_was_computed_meanwhile() -> None:
    ahead = UsageReported(usage=PRICED, cost_follows=True)
    turn = fold(UsageReported(usage=TOLD), ahead, ahead, UsageReported(usage=TOLD))
    assert turn.usage == UsageStats(
        input_tokens=6, output_tokens=2, cost_usd=1.4, cost_source="reported"
    )


def test_cost_that_never_followed_is_what_was_computed() -> None:
    assert fold(UsageReported(usage=PRICED, cost_follows=True)).usage == PRICED


def test_cost_that_was_computed_covers_nothing_but_its_own_call() -> None:
    turn = fold(UsageReported(usage=PRICED, cost_follows=True), UsageReported(usage=PRICED))
    assert turn.usage.cost_usd == 0.2


def test_unknown_cost_on_one_side_makes_the_sum_unknown() -> None:
    known = UsageStats(input_tokens=1, cost_usd=0.5)
    assert (known + UsageStats(input_tokens=1)).cost_usd is None
    assert (known + UsageStats()).cost_usd == 0.5
    assert sum([known, known], UsageStats()).cost_usd == 1.0


def test_last_plan_counts() -> None:
    first, second = (PlanEntry(text="a"),), (PlanEntry(text="a", status="completed"),)
    assert fold(PlanUpdated(entries=first), PlanUpdated(entries=second)).plan == second


def test_image_is_a_block() -> None:
    assert fold(ImageDone(mime_type="image/png", data="QQ==")).output == (
        ImageBlock(mime_type="image/png", data="QQ=="),
    )


def test_events_without_a_trace_leave_none() -> None:
    events = (
        Notice(message="n"),
        VendorEvent(kind="k", raw={"a": 1}),
        FileChanged(path="f", kind="add"),
    )
    assert fold(*events) == fold()


def test_raw_lines_are_kept_outside_of_equality() -> None:
    turn = fold(RawOutput(line="{}"))
    assert turn.raw_output == ("{}",)
    assert turn == fold()


def test_members_of_vendors_are_carried_along() -> None:
    (block,) = fold(TextDone(text="a", extra={"annotations": [1]})).output
    assert block == TextBlock(text="a", extra={"annotations": [1]})


def test_block_that_did_not_change_stays_the_same_object() -> None:
    folding = TurnFold(index=0, prompt="p")
    folding.add(TextDone(text="a", block_id="1"))
    first = folding.turn().output[0]
    folding.add(TextDelta(text="b", block_id="2"))
    assert folding.turn().output[0] is first


def test_turn_runs_until_it_has_ended() -> None:
    assert fold().status == "running"
    assert fold(TurnEnded()).status == "completed"
    ended = fold(TurnEnded(stop_reason="cancelled", status="interrupted"))
    assert (ended.status, ended.stop_reason) == ("interrupted", "cancelled")


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(text=None),  # type: ignore[arg-type]
        TextDone(text=b""),  # type: ignore[arg-type]
        ThinkingDelta(text=1),  # type: ignore[arg-type]
        ToolArguments(call_id="1", delta={}),  # type: ignore[arg-type]
        ToolOutput(call_id="1", delta=b""),  # type: ignore[arg-type]
    ],
)
def test_text_that_is_none_is_found_where_it_comes_in(event: Event) -> None:
    with pytest.raises(TypeError, match="must be str"):
        fold(event)


def test_values_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fold().status = "completed"  # type: ignore[misc]


def test_many_deltas_fold_in_linear_time() -> None:
    # Half a million pieces would take minutes if each one copied what came before.
    events = [TextDelta(text="0123456789")] * 500_000
    assert len(fold(*events).result) == 5_000_000
