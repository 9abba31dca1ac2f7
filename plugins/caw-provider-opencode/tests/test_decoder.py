"""The decoder on what a real opencode 1.18.33 said, and on what none would say."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caw_core.events import Event, FileChanged, Retrying, ToolArguments, VendorEvent
from caw_core.fold import TurnFold
from caw_core.json_fields import mapping, text
from caw_core.trajectory import Turn
from caw_provider_opencode.decoder import TurnDecoder
from caw_provider_opencode.sse import Message, SseParser, parse_message

FOLDER = Path(__file__).parent
RECORDED = SseParser().feed((FOLDER / "turn.sse").read_bytes())
HISTORY = json.loads((FOLDER / "turn.history.json").read_text())
SESSION = HISTORY[0]["info"]["sessionID"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cache",
                    "callID",
                    "completed",
                    "cost",
                    "created",
                    "delta",
                    "end",
                    "field",
                    "id",
                    "info",
                    "input",
                    "messageID",
                    "metadata",
                    "next",
                    "output",
                    "part",
                    "partID",
                    "role",
                    "sessionID",
                    "state",
                    "status",
                    "text",
                    "time",
                    "todos",
                    "tokens",
                    "tool",
                    "type",
                    "url",
                ],
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def _fold(events: list[Event]) -> Turn:
    fold = TurnFold(index=0, prompt="")
    for event in events:
        fold.add(event)
    return fold.turn()


def _told(lines: list[bytes]) -> list[Event]:
    decoder = TurnDecoder(SESSION)
    return [event for line in lines for event in decoder.feed(line)]


def test_recorded_turn_folds_to_what_happened() -> None:
    turn = _fold(_told(RECORDED))
    assert [block.type for block in turn.output] == [
        *("thinking", "text", "tool_use", "tool_use", "tool_use", "tool_use", "text"),
    ]
    assert [use.name for use in turn.tool_calls] == ["bash", "write", "edit", "task"]
    assert [use.status for use in turn.tool_calls] == ["completed"] * 4
    assert turn.tool_calls[0].output == "hi\n"
    assert turn.tool_calls[0].extra["title"] == "echo hi"
    assert (turn.result, turn.model) == ("Done.", "testkit/m1")


def test_usage_of_the_recorded_turn_counts_each_message_once() -> None:
    usage = _fold(_told(RECORDED)).usage
    # Five messages of the agent, two of its subagent; the default is 10 and 5 tokens.
    assert usage.input_tokens == 60 + 150 + 5 * 10
    assert usage.cache_read_tokens == 40
    assert usage.output_tokens == 20 + 4 + 5 * 5
    assert usage.reasoning_tokens == 7


def test_files_of_the_recorded_turn_have_their_diffs() -> None:
    added, changed = [event for event in _told(RECORDED) if isinstance(event, FileChanged)]
    assert (added.kind, added.diff) == ("add", "old\n")
    assert changed.diff.endswith("-old\n+new\n")


def test_failed_attempt_is_told_and_its_text_dropped() -> None:
    events = _told(RECORDED)
    [retry] = [event for event in events if isinstance(event, Retrying)]
    assert (retry.attempt, "boom" in retry.reason) == (1, True)
    assert all("lost" not in getattr(block, "text", "") for block in _fold(events).output)


def test_nothing_recorded_is_unknown() -> None:
    vendor = [event.kind for event in _told(RECORDED) if isinstance(event, VendorEvent)]
    assert {kind.partition(":")[0] for kind in vendor} == {"subagent"}


def test_history_alone_holds_the_whole_turn() -> None:
    events, history = _told(RECORDED), TurnDecoder(SESSION).history(HISTORY)
    assert _fold(history).output == _fold(events).output


def test_history_after_all_events_tells_nothing_new() -> None:
    decoder = TurnDecoder(SESSION)
    for line in RECORDED:
        decoder.feed(line)
    assert decoder.history(HISTORY) == []


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=len(RECORDED)), st.integers(0, len(RECORDED)))
def test_history_fills_any_gap(begin: int, length: int) -> None:
    decoder = TurnDecoder(SESSION)
    lines = RECORDED[:begin] + RECORDED[begin + length :]
    events = [event for line in lines for event in decoder.feed(line)]
    events += decoder.history(HISTORY)
    expected, turn = _fold(_told(RECORDED)), _fold(events)
    assert [use.output for use in sorted_calls(turn)] == [
        use.output for use in sorted_calls(expected)
    ]
    assert {block.text for block in turn.output if hasattr(block, "text")} >= {
        block.text for block in expected.output if hasattr(block, "text")
    }


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_the_events_does_not_matter_to_the_outcome(source: random.Random) -> None:
    lines = list(RECORDED)
    source.shuffle(lines)
    decoder = TurnDecoder(SESSION)
    events = [event for line in lines for event in decoder.feed(line)]
    events += decoder.history(HISTORY)
    expected, turn = _fold(_told(RECORDED)), _fold(events)
    assert turn.usage == expected.usage
    assert [use.output for use in sorted_calls(turn)] == [
        use.output for use in sorted_calls(expected)
    ]


def sorted_calls(turn: Turn) -> list[Any]:
    return sorted(turn.tool_calls, key=lambda use: use.id)


def test_messages_of_earlier_turns_are_not_told_again() -> None:
    decoder = TurnDecoder(SESSION, since_ms=1 << 50)
    told = [event for line in RECORDED for event in decoder.feed(line)]
    assert all(isinstance(event, Retrying) for event in told)
    assert decoder.history(HISTORY) == []


def test_summary_of_a_compaction_is_counted_and_not_output() -> None:
    decoder = TurnDecoder(SESSION)
    answer = json.loads(json.dumps(HISTORY[-1]))
    answer["info"]["summary"] = True
    turn = _fold(decoder.history([answer]))
    assert turn.output == ()
    assert turn.usage.input_tokens == 150


def test_arguments_come_once_they_are_there() -> None:
    [first, *_] = [event for event in _told(RECORDED) if isinstance(event, ToolArguments)]
    assert json.loads(first.delta) == {"command": "echo hi", "description": "print"}


def test_wait_before_a_retry_is_in_seconds() -> None:
    decoder = TurnDecoder(SESSION, clock=lambda: 1000.0)
    status = {"type": "retry", "attempt": 2, "message": "slow", "next": 1_004_500}
    properties = {"sessionID": SESSION, "status": status}
    [event] = decoder.decode(Message(b"", "session.status", properties))
    assert event == Retrying(reason="slow", attempt=2, wait_seconds=4.5)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_event_are_kept(data: bytes) -> None:
    for event in TurnDecoder(SESSION).feed(data):
        assert isinstance(event, VendorEvent)


@settings(deadline=None)
@given(
    st.sampled_from([message.type for line in RECORDED if (message := parse_message(line))]),
    st.dictionaries(st.sampled_from(["info", "part", "status", "error", "sessionID"]), JSON),
)
def test_junk_never_raises(kind: str, properties: dict[str, Any]) -> None:
    decoder = TurnDecoder(SESSION)
    _fold(decoder.decode(Message(b"", kind, properties)))
    _fold(decoder.history([properties]))


@settings(deadline=None)
@given(st.sampled_from(RECORDED), st.sampled_from(["info", "part"]), JSON, st.text(max_size=5))
def test_spoilt_events_never_raise(line: bytes, holder: str, junk: Any, name: str) -> None:
    message = parse_message(line)
    assert message
    decoder = TurnDecoder(SESSION)
    for before in RECORDED[:30]:
        decoder.feed(before)
    inside = mapping(message.properties, holder)
    for member in [*inside, name]:
        spoilt = {**message.properties, holder: {**inside, member: junk}}
        _fold(decoder.decode(Message(line, message.type, spoilt)))


def test_unknown_events_and_parts_are_kept() -> None:
    decoder = TurnDecoder(SESSION)
    events = decoder.decode(Message(b"", "session.danced", {"sessionID": SESSION}))
    answer = json.loads(json.dumps(HISTORY[-1]))
    answer["parts"] = [{"id": "p", "messageID": text(answer["info"], "id"), "type": "dance"}]
    events += decoder.history([answer])
    assert [event.kind for event in events if isinstance(event, VendorEvent)] == [
        "session.danced",
        "part:dance",
    ]


@pytest.mark.parametrize(
    ("url", "data", "uri"),
    [("data:image/png;base64,QQ==", "QQ==", ""), ("file:///a.png", "", "file:///a.png")],
)
def test_image_of_the_agent_is_a_block(url: str, data: str, uri: str) -> None:
    answer = json.loads(json.dumps(HISTORY[-1]))
    part = {"id": "p", "messageID": answer["info"]["id"], "type": "file", "mime": "image/png"}
    answer["parts"] = [{**part, "url": url}]
    [block] = _fold(TurnDecoder(SESSION).history([answer])).output
    assert (block.type, getattr(block, "data", None), getattr(block, "uri", None)) == (
        "image",
        data,
        uri,
    )
