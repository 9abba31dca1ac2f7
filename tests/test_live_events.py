"""What a running session tells other processes: in order, joined, bounded, without secrets."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from caw_core import hookimpl
from caw_core.events import Event, TextDelta, TextDone, ToolOutput, TurnEnded, TurnStarted
from caw_core.live_events import LARGEST, MOST_EVENTS, LiveEvents
from caw_core.plugins import AgentPlugins
from caw_core.redaction import REDACTED, Redactor
from caw_core.storage import LiveEvent

WAIT = 20.0


class PublishingStorage:
    """Notes what is published."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.published: list[LiveEvent] = []
        self.calls = threading.Semaphore(0)

    @hookimpl
    def persist_turn(self) -> None:
        pass

    @hookimpl
    def load_trajectory(self) -> None:
        return None

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        self.calls.release()
        if self.failure is not None:
            raise self.failure
        self.published += events

    def events(self) -> list[Event]:
        return [each.event for each in self.published]

    def places(self) -> list[tuple[int, int]]:
        return [each.place for each in self.published]

    def text(self) -> str:
        return "".join(each.text for each in self.events() if isinstance(each, TextDelta))


@pytest.fixture
def storage() -> PublishingStorage:
    return PublishingStorage()


def live_events(stage: Any, storage: Any, *secrets: str) -> LiveEvents:
    plugins = AgentPlugins("played", stage.provider, [("publishing", storage)])
    return LiveEvents("s", plugins, Redactor(secrets))


def test_turn_is_published_from_its_start_to_its_end(stage: Any, storage: Any) -> None:
    with stage.agent(storage=storage).start_session() as session:
        session.send("you")
        session.send("all")
    first, second = ("hello you", "hello all")
    assert storage.events() == [
        TurnStarted(index=0),
        TextDelta(text=first),
        TurnEnded(stop_reason="end_turn", status="completed"),
        TurnStarted(index=1),
        TextDelta(text=second),
        TurnEnded(stop_reason="end_turn", status="completed"),
    ]
    assert storage.places() == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [each.cursor for each in storage.published] == ["0.0", "0.1", "1", "1.0", "1.1", "2"]


def test_events_come_while_the_turn_runs(stage: Any, storage: Any) -> None:
    seen = threading.Event()

    def answer(_: Any, __: str) -> Iterator[Event]:
        yield TextDelta(text="first ")
        assert storage.calls.acquire(timeout=WAIT)
        seen.set()
        yield TextDelta(text="second")

    with stage.agent(answer, storage=storage).start_session() as session:
        session.send("x")
    assert seen.is_set()
    assert storage.text() == "first second"


def test_pieces_of_one_text_are_put_together(stage: Any, storage: Any) -> None:
    live = live_events(stage, storage)
    for word in ("a", "b", "c"):
        live.put(0, TextDelta(text=word))
    live.put(0, ToolOutput(call_id="1", delta="x"))
    live.put(0, ToolOutput(call_id="2", delta="y"))
    live.put(0, TextDelta(text="d", block_id="other"))
    live.close()
    assert storage.events() == [
        TextDelta(text="abc"),
        ToolOutput(call_id="1", delta="x"),
        ToolOutput(call_id="2", delta="y"),
        TextDelta(text="d", block_id="other"),
    ]


@pytest.mark.parametrize("cut", range(1, 12))
def test_secret_that_comes_in_pieces_is_taken_out(stage: Any, storage: Any, cut: int) -> None:
    secret = "s3cr3t-canary"
    live = live_events(stage, storage, secret)
    live.put(0, TextDelta(text="it is " + secret[:cut]))
    assert storage.calls.acquire(timeout=WAIT)
    live.put(0, TextDelta(text=secret[cut:] + ", is it"))
    live.close()
    assert storage.text() == f"it is {REDACTED}, is it"


def test_secret_at_the_seam_of_long_texts_is_taken_out(stage: Any, storage: Any) -> None:
    secret = "s3cr3t-canary"
    live = live_events(stage, storage, secret)
    live.put(0, TextDelta(text="x" * 65_530 + secret[:6]))
    live.put(0, TextDelta(text=secret[6:] + "y" * 10))
    live.close()
    assert storage.text() == "x" * 65_530 + REDACTED + "y" * 10


def test_what_looks_like_the_beginning_of_a_secret_comes_at_the_end(
    stage: Any, storage: Any
) -> None:
    live = live_events(stage, storage, "s3cr3t-canary")
    live.put(0, TextDelta(text="s3cr3t"))
    live.close()
    assert storage.text() == "s3cr3t"


def test_storage_that_fails_does_not_stop_the_turn_and_is_told_once(
    stage: Any, storage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    storage.failure = OSError("away")
    with stage.agent(storage=storage).start_session() as session:
        assert session.send("you").status == "completed"
        assert storage.calls.acquire(timeout=WAIT)
        assert session.send("you").status == "completed"
    assert [each.message for each in caplog.records if "watched" in each.message] == [
        f"session {session.session_id} cannot be watched: away"
    ]


def test_what_waits_too_long_is_left_out_and_the_numbers_show_it(stage: Any, storage: Any) -> None:
    live = live_events(stage, storage)
    with live._sending:
        for number in range(MOST_EVENTS + 10):
            live.put(0, TextDone(text=str(number)))
    live.close()
    assert [each.number for each in storage.published] == list(range(10, MOST_EVENTS + 10))
    assert storage.events()[0] == TextDone(text="10")


def test_event_that_is_too_large_is_left_out(stage: Any, storage: Any) -> None:
    live = live_events(stage, storage)
    live.put(0, TextDone(text="x" * (LARGEST + 1)))
    live.put(0, TextDone(text="y"))
    live.close()
    assert storage.places() == [(0, 1)]


def test_session_without_such_a_storage_has_no_thread_for_it(stage: Any, memory: Any) -> None:
    with stage.agent(storage=memory).start_session() as session:
        session.send("x")
        assert not [each for each in threading.enumerate() if each.name == "caw-live-events"]
