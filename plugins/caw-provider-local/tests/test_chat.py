"""The conversation as messages, and chunks as events."""

from __future__ import annotations

import pytest

from caw_core.blocks import TextBlock, ThinkingBlock
from caw_core.errors import ContextLimitError, ProtocolError
from caw_core.events import (
    Notice,
    Progress,
    StructuredDone,
    TextDelta,
    TurnEnded,
    UsageReported,
)
from caw_core.trajectory import Trajectory, Turn
from caw_provider_local.chat import Answer, Exchange, exchanges_of, messages_of, readable


def answer() -> Answer:
    return Answer(model="m", n_ctx=256, max_tokens=100)


def finish(reason: str) -> dict[str, object]:
    return {"choices": [{"delta": {}, "finish_reason": reason}]}


TIMINGS = {"prompt_n": 7, "cache_n": 5, "predicted_n": 3}


def test_messages_begin_with_the_system_prompt_and_hold_all_that_was_said() -> None:
    history = [Exchange(prompt="a", answer="b"), Exchange(prompt="c", answer="")]
    assert [(m["role"], m["content"]) for m in messages_of("sys", history, "d")] == [
        ("system", "sys"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("user", "d"),
    ]


def test_record_gives_only_texts_of_turns_that_were_part_of_the_conversation() -> None:
    text = TextBlock(text="t")
    turns = (
        Turn(index=0, input="a", output=(ThinkingBlock(text="hm"), text, text)),
        Turn(index=1, input="b", output=(text,), status="failed"),
        Turn(index=2, input="c", output=(text,), status="interrupted"),
        Turn(index=3, input="d", output=(text,), status="unknown"),
    )
    record = Trajectory(session_id="s", provider="local", turns=turns)
    assert exchanges_of(record) == (
        Exchange(prompt="a", answer="t\n\nt"),
        Exchange(prompt="c", answer="t"),
    )


def test_lone_surrogates_are_replaced_and_everything_else_is_kept() -> None:
    assert readable("a\ud800b \U0001f600 \0 é") == "a\ufffdb \U0001f600 \0 é"


def test_unfinished_prompt_is_progress() -> None:
    chunk = {"choices": [], "prompt_progress": {"cache": 0, "processed": 64, "total": 200}}
    [event] = answer().feed(chunk)
    assert event == Progress(label="reading the conversation", done=64, total=200, unit="tokens")


def test_prompt_that_is_read_through_is_no_progress() -> None:
    chunk = {"choices": [], "prompt_progress": {"cache": 0, "processed": 200, "total": 200}}
    assert list(answer().feed(chunk)) == []


def test_usage_does_not_count_cached_tokens_twice() -> None:
    got = answer()
    list(got.feed({"choices": [], "timings": TIMINGS}))
    assert (got.usage.input_tokens, got.usage.cache_read_tokens) == (7, 5)
    assert (got.usage.output_tokens, got.usage.cost_usd) == (3, 0.0)


def test_full_context_window_is_told() -> None:
    got = answer()
    list(got.feed({**finish("length"), "timings": TIMINGS}))
    notice, _, end = got.ending(cancelled=False)
    assert isinstance(notice, Notice)
    assert "256" in notice.message
    assert end == TurnEnded(stop_reason="max_tokens")


def test_cancelled_answer_has_usage_and_no_whole_text() -> None:
    got = answer()
    chunk = {"choices": [{"delta": {"content": "x"}, "finish_reason": None}], "timings": TIMINGS}
    assert [event.text for event in got.feed(chunk) if isinstance(event, TextDelta)] == ["x"]
    usage, end = got.ending(cancelled=True)
    assert isinstance(usage, UsageReported)
    assert end == TurnEnded(stop_reason="cancelled")


def test_answer_that_never_finished_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="unknown reason"):
        list(answer().ending(cancelled=False))


def test_error_within_the_stream_is_raised() -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": 300, "n_ctx": 256}
    with pytest.raises(ContextLimitError, match=r"300 tokens .* 256"):
        list(answer().feed({"error": error}))


@pytest.mark.parametrize(
    ("text", "values"),
    [('{"n": 1}', [{"n": 1}]), ("null", [None]), ('{"n": ', [])],
)
def test_value_is_told_if_the_answer_holds_one(text: str, values: list[object]) -> None:
    got = Answer(model="m", n_ctx=256, max_tokens=100, structured=True)
    list(got.feed({"choices": [{"delta": {"content": text}, "finish_reason": "length"}]}))
    events = list(got.ending(cancelled=False))
    assert [event.value for event in events if isinstance(event, StructuredDone)] == values
