"""The decoder on what a real ``opencode run`` 1.18.33 printed, and on what none would print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import AuthError, ModelError, ProviderError
from caw_core.events import (
    Event,
    FileChanged,
    PlanUpdated,
    ThinkingDone,
    UsageReported,
    VendorEvent,
)
from caw_core.fold import TurnFold
from caw_core.trajectory import Turn
from caw_provider_opencode.errors import Retry
from caw_provider_opencode.run_decoder import RunDecoder
from caw_provider_opencode.run_log import RunLog

from .test_decoder import JSON

RECORDED = (Path(__file__).parent / "run.jsonl").read_bytes().splitlines()

FAILED = (
    "timestamp=2026-11-21T11:39:{second}.650Z level=ERROR run=4dc79e16 "
    'message="stream error" providerID=testkit modelID=m1 session.id=ses_x small=false '
    'agent=build mode=primary error.error="AI_APICallError: slow down"\n'
)
NO_MODEL = (
    "timestamp=2026-11-21T11:39:39.821Z level=ERROR run=d29b0c65 message=failed ref=err_c7b1399c "
    'error="ProviderModelNotFoundError: Model not found: nope/x. Did you mean: y?" cause="…"\n'
)


def _decoded(lines: list[bytes], **given: Any) -> tuple[RunDecoder, list[Event]]:
    decoder = RunDecoder(**given)
    return decoder, [event for line in lines for event in decoder.feed(line)]


def _turn(events: list[Event]) -> Turn:
    fold = TurnFold(index=0, prompt="")
    for event in events:
        fold.add(event)
    return fold.turn()


def _error(error: dict[str, Any]) -> bytes:
    return json.dumps({"type": "error", "sessionID": "ses_x", "error": error}).encode()


def test_recorded_turn_is_told_whole() -> None:
    decoder, events = _decoded(RECORDED, model="testkit/priced")
    turn = _turn(events)
    assert [(use.name, use.status) for use in turn.tool_calls] == [
        ("todowrite", "completed"),
        ("write", "completed"),
        ("bash", "failed"),
    ]
    assert (turn.result, decoder.answer) == ("all done", "all done")
    assert turn.usage.total_tokens == 45
    assert turn.usage.cost_usd == pytest.approx(0.00006)
    assert {event.model for event in events if isinstance(event, UsageReported)} == {
        "testkit/priced"
    }
    assert [event.text for event in events if isinstance(event, ThinkingDone)] == ["hm"]
    [change] = [event for event in events if isinstance(event, FileChanged)]
    assert (change.path, change.kind) == ("/home/user/project/a.txt", "add")
    [plan] = [event for event in events if isinstance(event, PlanUpdated)]
    assert [entry.text for entry in plan.entries] == ["look"]
    assert decoder.session_id.startswith("ses_")
    end = decoder.outcome("")
    assert end
    assert end.stop_reason == "end_turn"


@pytest.mark.parametrize("line", [b"", b"null", b"[1]", b"Error: no", b'{"a": 1', b'{"type": 3}'])
def test_line_that_is_no_message_is_kept(line: bytes) -> None:
    [event] = RunDecoder().feed(line)
    assert isinstance(event, VendorEvent)
    assert event.kind == "unreadable"


def test_kind_that_is_not_known_is_kept() -> None:
    message = {"type": "news", "sessionID": "ses_x", "part": {"a": 1}}
    assert RunDecoder().feed(json.dumps(message).encode()) == [
        VendorEvent(kind="news", raw=message)
    ]


def test_turn_that_is_cut_off_has_no_outcome() -> None:
    decoder, _ = _decoded(RECORDED[:-1])
    assert decoder.outcome("") is None


@pytest.mark.parametrize(
    ("error", "log", "kind"),
    [
        ({"name": "APIError", "data": {"message": "no", "statusCode": 401}}, "", AuthError),
        ({"name": "UnknownError", "data": {"message": "?", "ref": "err_1"}}, NO_MODEL, ModelError),
        ({"name": "UnknownError", "data": {"message": "?", "ref": "err_1"}}, "", ProviderError),
        ({"_tag": "BadRequest"}, NO_MODEL, ProviderError),
    ],
)
def test_error_has_its_class(error: dict[str, Any], log: str, kind: type[ProviderError]) -> None:
    decoder, _ = _decoded([_error(error)])
    with pytest.raises(ProviderError) as caught:
        decoder.outcome(log)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MessageOutputLengthError", "max_tokens"),
        ("ContentFilterError", "refusal"),
        ("MessageAbortedError", "cancelled"),
    ],
)
def test_error_that_is_an_end_is_told_as_one(name: str, reason: str) -> None:
    decoder, _ = _decoded([_error({"name": name})])
    end = decoder.outcome("")
    assert end
    assert end.stop_reason == reason


def test_error_that_opencode_got_over_is_none() -> None:
    decoder, _ = _decoded([_error({"name": "APIError"}), *RECORDED])
    assert decoder.outcome("")


def test_failed_attempts_are_told_once_and_at_the_look_after() -> None:
    log, first, second = RunLog(), FAILED.format(second=24), FAILED.format(second=28)
    assert log.look(first) == []
    assert log.look(first + second) == [Retry("slow down", 1, None)]
    assert log.look(second) == [Retry("slow down", 2, None)]
    assert log.look(second) == []


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_makes_it_raise(line: bytes) -> None:
    _decoded([line, *RECORDED, line])
