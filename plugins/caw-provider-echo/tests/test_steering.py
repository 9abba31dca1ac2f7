"""Steering the echo, at the level of the provider contract and through `Agent`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caw_core import Agent
from caw_core.blocks import SteerBlock
from caw_core.events import TextDone, TurnEnded
from caw_core.provider import Prompt, StartRequest
from caw_provider_echo import EchoProvider

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.events import Event
    from caw_core.stream import TurnStream
    from caw_provider_echo.session import EchoSession


def start(folder: Path) -> EchoSession:
    return EchoProvider().start_session(request=StartRequest(session_id="s-1", cwd=folder))


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDone)]


def read_until_waiting(stream: TurnStream) -> None:
    for event in stream:
        if event.type == "text_done":
            return


def test_steered_text_is_answered_before_the_next_step(tmp_path: Path) -> None:
    session = start(tmp_path)
    stream = session.prompt(Prompt(text="!notice a\n!cwd\nlast"))
    first = next(stream)
    assert session.steer(Prompt(text="in between\n!notice b"))
    events = [first, *stream]
    assert [event.type for event in events if event.type in {"notice", "text_done"}] == [
        "notice",
        "text_done",
        "notice",
        "text_done",
        "text_done",
    ]
    assert texts(events) == ["echo: in between", str(tmp_path), "echo: last"]


def test_text_steered_into_the_last_step_is_answered_too(tmp_path: Path) -> None:
    session = start(tmp_path)
    stream = session.prompt(Prompt(text="one"))
    events = [next(stream)]
    assert session.steer(Prompt(text="two"))
    assert session.steer(Prompt(text="three"))
    assert texts([*events, *stream]) == ["echo: one", "echo: two", "echo: three"]


def test_steering_comes_too_late_after_the_last_step(tmp_path: Path) -> None:
    session = start(tmp_path)
    assert not session.steer(Prompt(text="early"))
    for event in session.prompt(Prompt(text="one")):
        if event.type in {"usage_reported", "turn_ended"}:
            assert not session.steer(Prompt(text="late"))
    assert not session.steer(Prompt(text="later"))


def test_interrupted_turn_takes_nothing_more(tmp_path: Path) -> None:
    session = start(tmp_path)
    stream = session.prompt(Prompt(text="one"))
    next(stream)
    session.interrupt()
    assert not session.steer(Prompt(text="two"))
    assert list(stream)[-1] == TurnEnded(stop_reason="cancelled")


def test_steering_ends_a_slow_step(tmp_path: Path) -> None:
    session = start(tmp_path)
    stream = session.prompt(Prompt(text="a\n!slow 600\n!cwd"))
    for event in stream:
        if isinstance(event, TextDone):
            break
    # The turn is about to wait for ten minutes, in this thread.
    threading.Thread(target=session.steer, args=(Prompt(text="go on"),)).start()
    assert texts(list(stream)) == ["echo: go on", str(tmp_path)]


def test_steered_text_is_in_the_record_and_known_after_a_resume(tmp_path: Path) -> None:
    agent = Agent("echo", data_dir=tmp_path)
    with agent.start_session() as session:
        stream = session.stream("one\n!slow 600")
        read_until_waiting(stream)
        assert session.steer("two").outcome == "delivered"
        turn = stream.result()
        assert turn.result == "echo: two"
        assert [block.text for block in turn.output if isinstance(block, SteerBlock)] == ["two"]
    with agent.resume_session(session.session_id) as session:
        assert session.send("!history").result == "one\n!slow 600\ntwo\n!history"
