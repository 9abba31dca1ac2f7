"""The grammar of events, on lists that are written down here."""

from __future__ import annotations

import pytest

from caw_core.events import (
    Event,
    PermissionAsked,
    PermissionSettled,
    TextDelta,
    TextDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UsageReported,
)
from caw_core.usage import UsageStats
from caw_testkit.conformance import check_events, check_fold, check_provider_events

BEGIN = TurnStarted(index=0)
END = TurnEnded(status="completed")
TOOL = ToolStarted(call_id="1", name="shell")
DONE = ToolFinished(call_id="1", output="hi")
ASKED = PermissionAsked(request_id="1", tool="shell")
SETTLED = PermissionSettled(request_id="1", allowed=True)


def around(*events: Event) -> list[Event]:
    return [BEGIN, *events, END]


@pytest.mark.parametrize(
    "events",
    [
        (),
        (TextDelta(text="a", block_id="t"), TextDone(text="a", block_id="t")),
        (TextDone(text="a"), TextDelta(text="b")),
        (TOOL, ToolArguments(call_id="1", delta="{}"), ToolOutput(call_id="1", delta="hi"), DONE),
        (TOOL, DONE, TOOL, DONE),
        (TOOL,),
        (TOOL, ASKED, SETTLED, DONE, ASKED, SETTLED),
        (UsageReported(usage=UsageStats(output_tokens=2, reasoning_tokens=2, cost_usd=0.0)),),
    ],
)
def test_turns_in_order_have_no_problems(events: tuple[Event, ...]) -> None:
    assert check_events(around(*events)) == []
    assert check_provider_events(events) == []


def test_turn_may_move_behind_one_that_the_agent_began() -> None:
    assert check_events(around(TurnStarted(index=1))) == []


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([], "the first event is nothing, not turn_started"),
        ([END], "the first event is turn_ended"),
        ([BEGIN, BEGIN, END], "turn_started came with the indices [0, 0]"),
        ([BEGIN], "turn_ended came 0 times"),
        ([BEGIN, END, END], "turn_ended came 2 times"),
        ([BEGIN, END, TOOL], "tool_started came after turn_ended"),
        ([BEGIN, TurnEnded()], "has the status None"),
        ([BEGIN, TurnEnded(status="running")], "has the status 'running'"),
        (around(DONE), "came before tool_started"),
        (around(ToolOutput(call_id="1", delta="x"), TOOL), "came before tool_started"),
        (around(TOOL, DONE, ToolOutput(call_id="1", delta="x")), "came after tool_finished"),
        (around(TOOL, DONE, DONE), "came after tool_finished"),
        (around(ToolStarted(call_id="", name="x")), "a tool call has no id"),
        (
            around(TextDone(text="a", block_id="t"), TextDelta(text="b", block_id="t")),
            "text_delta came after the piece 't' was done",
        ),
        (around(ASKED), "asked and never settled"),
        (around(SETTLED), "settled without being open"),
        (around(ASKED, SETTLED, SETTLED), "settled without being open"),
        (around(ASKED, ASKED, SETTLED), "asked again while it is open"),
        (around(UsageReported(usage=UsageStats(input_tokens=-1))), "not a count from 0 up"),
        (around(UsageReported(usage=UsageStats(reasoning_tokens=1))), "of which they are a part"),
        (around(UsageReported(usage=UsageStats(cost_usd=float("nan")))), "not an amount"),
        (around(TextDelta(text="a", extra={"text": "b"})), "another value once it was stored"),
        (around(TextDelta(text="a", extra={"x": object()})), "cannot be stored"),  # type: ignore[dict-item]
    ],
)
def test_each_disorder_is_named(events: list[Event], problem: str) -> None:
    assert any(problem in text for text in check_events(events)), check_events(events)


def test_provider_makes_no_events_of_the_core() -> None:
    assert check_provider_events([BEGIN]) == [
        "the provider yielded turn_started, which only the core makes"
    ]
    assert "went on after turn_ended: text_delta" in "".join(
        check_provider_events([TurnEnded(), TextDelta(text="late")])
    )


def test_deltas_that_do_not_add_up_break_the_fold_law() -> None:
    whole = TextDone(text="ab", block_id="t")
    pieces = [TextDelta(text="a", block_id="t"), TextDelta(text="c", block_id="t")]
    assert "do not add up" in check_fold([*pieces, whole])[0]
    assert check_fold([*pieces, whole], complete=False) == []
    assert check_fold([TextDelta(text="ab", block_id="t"), whole]) == []


def test_piece_that_stands_elsewhere_without_its_deltas_breaks_the_fold_law() -> None:
    events = [TextDelta(text="a", block_id="t"), TOOL, DONE, TextDone(text="a", block_id="t")]
    assert "folds to other blocks" in check_fold(events)[0]
