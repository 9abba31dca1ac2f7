"""Those who are told of turns: in order, without harm to the turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from caw_core import SessionInfo, Turn
from caw_core.events import Event, Notice, TextDelta
from caw_core.listeners import LEFT_OUT, MOST_EVENTS

WAIT = 20.0


class Told:
    """A display of the user's own."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        self.calls.append(("begin", turn.input))

    def show(self, session: SessionInfo, turn: int, event: Event) -> None:
        self.calls.append(("show", event))

    def end(self, session: SessionInfo, turn: Turn) -> None:
        self.calls.append(("end", turn.result))


def test_display_of_ones_own_is_told_all_of_a_turn_before_send_returns(stage: Any) -> None:
    told = Told()
    with stage.agent(display=told).start_session() as session:
        session.send("you")
        assert told.calls == [
            ("begin", "you"),
            ("show", TextDelta(text="hello you")),
            ("end", "hello you"),
        ]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_display_that_raises_is_dropped_and_logged_once(
    stage: Any, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Told):
        def show(self, session: SessionInfo, turn: int, event: Event) -> None:
            super().show(session, turn, event)
            raise error("no paper")

    broken, lines = Broken(), Lines()
    with stage.agent(display=broken, logger=lines).start_session() as session:
        assert session.send("one").result == "hello one"
        assert session.send("two").result == "hello two"
    assert [kind for kind, _ in broken.calls] == ["begin", "show"]
    assert [record.message for record in caplog.records if "Broken" in record.message] == [
        f"session {session.session_id}: Broken failed and is told nothing more"
    ]
    # The others are told on.
    assert any("user two" in line for line in lines.info_lines)


class Lines:
    def __init__(self) -> None:
        self.info_lines: list[str] = []

    def info(self, message: str) -> None:
        self.info_lines.append(message)

    def warn(self, message: str) -> None:
        raise AssertionError(message)

    def error(self, message: str) -> None:
        raise AssertionError(message)


def test_display_that_hangs_holds_no_turn_and_is_told_what_was_left_out(stage: Any) -> None:
    released = threading.Event()
    caught_up = threading.Event()

    class Hanging(Told):
        def begin(self, session: SessionInfo, turn: Turn) -> None:
            super().begin(session, turn)
            released.wait()

        def end(self, session: SessionInfo, turn: Turn) -> None:
            super().end(session, turn)
            if turn.index == 2:
                caught_up.set()

    def flood(_: Any, __: str) -> Iterator[Event]:
        for number in range(MOST_EVENTS + 5):
            yield Notice(message=str(number))

    hanging = Hanging()
    with stage.agent(flood, display=hanging).start_session() as session:
        try:
            # Nothing that waits for the display would come back from here.
            assert session.send("one").status == "completed"
            assert session.send("two").status == "completed"
        finally:
            released.set()
        session.send("three")
    assert caught_up.wait(WAIT)
    shown = [event.message for kind, event in hanging.calls if kind == "show"]
    assert [kind for kind, _ in hanging.calls if kind != "show"] == ["begin", "end"] * 3
    assert shown[: MOST_EVENTS - 1] == [str(number) for number in range(MOST_EVENTS - 1)]
    assert any(LEFT_OUT.partition("{}")[2] in message for message in shown)
