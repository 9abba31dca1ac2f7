"""Interrupting the real opencode."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core.events import TextDelta, ToolOutput, TurnEnded
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, fail, reply, slow, text

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def test_stream_that_is_interrupted_keeps_what_was_seen(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(slow(reply(text("a " * 50)), seconds=30))
    session = desk.start()
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, TextDelta):
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    assert desk.fold(events).result.startswith("a ")


def test_session_goes_on_after_an_interrupt(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(text("a " * 50)), seconds=30))
    session = desk.start()
    for event in session.prompt(Prompt(text="go")):
        if isinstance(event, TextDelta):
            session.interrupt()
    for prompt in ("one", "two", "three"):
        model_server.script(reply(text(f"to {prompt}")))
        assert desk.turn(session, prompt).result == f"to {prompt}"


def test_command_that_runs_is_gone_within_two_seconds(
    desk: Desk, model_server: ModelServer
) -> None:
    command = {"command": "echo hi; sleep 63.75", "description": "sleep"}
    model_server.script(reply(call("bash", command)))
    session = desk.start()
    events, asked = [], 0.0
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, ToolOutput) and not asked:
            session.interrupt()
            asked = time.monotonic()
    while _sleeps("63.75"):
        assert time.monotonic() < asked + 2
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    [use] = desk.fold(events).tool_calls
    assert use.output.startswith("hi\n")


def test_wait_before_a_retry_can_be_interrupted(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(fail(429, "slow down", headers={"retry-after": "600"}))
    session = desk.start()
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if event.type == "retrying":
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")


def test_interrupt_right_after_the_prompt_is_not_lost(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(lambda _: slow(reply(text("a " * 50)), seconds=30))
    session = desk.start()
    ended = []
    turn = threading.Thread(target=lambda: ended.extend(desk.ask(session, "go")))
    turn.start()
    while session._turn is None:
        pass
    session.interrupt()
    turn.join()
    assert ended[-1] == TurnEnded(stop_reason="cancelled")


def test_interrupt_without_a_turn_does_nothing(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("fine")))
    session = desk.start()
    session.interrupt()
    assert desk.turn(session).result == "fine"


def test_iteration_that_is_left_ends_the_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(text("a " * 50)), seconds=30), reply(text("fine")))
    session = desk.start()
    turn: Any = session.prompt(Prompt(text="go"))
    next(event for event in turn if isinstance(event, TextDelta))
    turn.close()
    assert desk.turn(session, "again").result == "fine"


def _sleeps(seconds: str) -> bool:
    found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return any(line[:2] == ["sleep", seconds] for line in found)


def test_prompt_that_is_interrupted_at_its_very_beginning_is_never_a_finished_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(
        lambda request: (
            slow(reply(text("n e v e r")), seconds=60)
            if request.last_user_text() == "go"
            else reply(text("quick"))
        )
    )
    session = desk.start()
    for number in range(12):
        assert list(session.prompt(Prompt(text="before")))[-1] == TurnEnded(stop_reason="end_turn")
        events = session.prompt(Prompt(text="go"))
        # Somewhere between opencode's taking the prompt and its beginning with it.
        timer = threading.Timer(0.01 + number / 1000, session.interrupt)
        timer.start()
        assert list(events)[-1] == TurnEnded(stop_reason="cancelled")
        timer.join()
    session.close()
    model_server.clear()
