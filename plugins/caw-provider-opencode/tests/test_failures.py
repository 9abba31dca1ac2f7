"""What fails, with the real opencode: typed errors, and a session that stays usable."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.deadlines import Deadlines
from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    DeadlineError,
    LimitError,
    ModelError,
    ProcessError,
    ProgramNotFoundError,
    ProviderError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import Notice, Retrying, TextDelta, ToolOutput, TurnEnded
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, drop, echo, fail, fail_inside, hang, reply, slow, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.events import Event
    from caw_testkit.modelserver import ModelServer, Step

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (fail(400, "bad request"), ProviderError),
        (fail(401, "bad key"), AuthError),
        (fail(403, "not yours"), AuthError),
        (fail(404, "no such thing", kind="model_not_found"), ModelError),
    ],
)
def test_refusals_are_typed_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer, step: Step, kind: type[ProviderError]
) -> None:
    model_server.script(step, reply(text("fine")))
    session = desk.start()
    with pytest.raises(ProviderError) as caught:
        desk.turn(session)
    assert type(caught.value) is kind
    assert desk.turn(session).result == "fine"


def test_model_that_opencode_does_not_know_is_a_model_error(desk: Desk) -> None:
    with pytest.raises(ModelError, match="Model not found") as caught:
        desk.turn(desk.start(model="testkit/nosuch"))
    assert caught.value.model == "testkit/nosuch"


def test_conversation_that_does_not_fit_is_a_context_error(
    desk: Desk, model_server: ModelServer
) -> None:
    # opencode first tries to summarise it, and that does not fit either.
    too_long = "This model's maximum context length is 10 tokens"
    model_server.respond(lambda _: fail(400, too_long, kind="context_length_exceeded"))
    with pytest.raises(ContextLimitError):
        desk.turn(desk.start())


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (fail(429, "Rate limit reached"), LimitError),
        (fail(503, "The service is overloaded"), LimitError),
        (drop(), ConnectionFailedError),
    ],
)
def test_retries_are_told_and_bounded(
    desk: Desk, model_server: ModelServer, step: Step, kind: type[ProviderError]
) -> None:
    model_server.script(step, step, reply(text("fine")))
    session = desk.start(options={"max_retries": 1})
    told: list[Event] = []
    with pytest.raises(kind):
        told.extend(session.prompt(Prompt(text="go")))
    retries = [event for event in told if isinstance(event, Retrying)]
    assert [event.attempt for event in retries] == [1, 2]
    assert desk.turn(session).result == "fine"


def test_attempt_that_failed_leaves_no_text_behind(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(fail_inside(reply(text("a b c d")), "boom"), reply(text("whole")))
    events = desk.ask(desk.start(), "go")
    assert [event.attempt for event in events if isinstance(event, Retrying)] == [1]
    assert [block.type for block in desk.fold(events).output] == ["text"]
    assert desk.fold(events).result == "whole"


def test_server_that_is_killed_fails_the_turn_and_the_next_one_works(
    own_desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("first")), slow(reply(text("a " * 50)), seconds=30))
    session = own_desk.start()
    own_desk.turn(session, "one")
    pid, key = session.pid, session.resume_key
    assert pid
    turn = session.prompt(Prompt(text="two"))
    next(event for event in turn if isinstance(event, TextDelta))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessError) as caught:
        list(turn)
    assert caught.value.signal == signal.SIGKILL
    model_server.script(reply(text("third")))
    events = own_desk.ask(session, "three")
    assert own_desk.fold(events).result == "third"
    assert [event.level for event in events if isinstance(event, Notice)] == ["warning"]
    assert session.resume_key == key
    assert session.pid != pid
    assert "one" in model_server.requests[-1].user_texts()


def test_command_dies_with_its_server_and_the_history_stays_sound(
    own_desk: Desk, model_server: ModelServer
) -> None:
    command = {"command": "echo hi; sleep 64.5", "description": "sleep"}
    model_server.script(reply(call("bash", command)))
    session = own_desk.start()
    turn = session.prompt(Prompt(text="one"))
    next(event for event in turn if isinstance(event, ToolOutput))
    os.kill(session.pid or 0, signal.SIGKILL)
    with pytest.raises(ProcessError):
        list(turn)
    assert _end_soon(64.5)
    model_server.script(reply(text("fine")))
    assert own_desk.turn(session, "two").result == "fine"
    request = model_server.requests[-1]
    assert len(request.tool_calls()) == len(request.tool_results()) == 1


def test_close_during_a_turn_ends_it_and_leaves_no_process(
    own_desk: Desk, model_server: ModelServer
) -> None:
    command = {"command": "echo hi; sleep 61.25", "description": "sleep"}
    model_server.script(reply(call("bash", command)))
    session = own_desk.start()
    turn = session.prompt(Prompt(text="go"))
    next(event for event in turn if isinstance(event, ToolOutput))
    session.close()
    with pytest.raises(TurnInterruptedError):
        list(turn)
    assert not psutil.pid_exists(session.pid or 0)
    assert _end_soon(61.25)


def test_last_session_ends_the_server_and_no_earlier_one(own_desk: Desk) -> None:
    one, two = own_desk.start(), own_desk.start()
    assert one.pid == two.pid
    one.close()
    assert psutil.pid_exists(two.pid or 0)
    two.close()
    assert not psutil.pid_exists(two.pid or 0)


def test_closed_session_takes_no_prompt(desk: Desk) -> None:
    session = desk.start()
    session.close()
    session.close()
    with pytest.raises(SessionStateError):
        desk.turn(session)


def test_program_that_is_missing_is_named(desk: Desk) -> None:
    with pytest.raises(ProgramNotFoundError, match="nosuch"):
        desk.start(options={"binary": "/nosuch/opencode"})


def test_program_that_is_no_opencode_is_a_process_error(own_desk: Desk, tmp_path: Path) -> None:
    program = tmp_path / "opencode"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ProcessError, match="broken") as caught:
        own_desk.start(options={"binary": str(program)})
    assert caught.value.exit_code == 3


def test_program_that_says_nothing_passes_the_start_deadline(
    own_desk: Desk, tmp_path: Path
) -> None:
    program = tmp_path / "opencode"
    program.write_text("#!/bin/sh\nexec sleep 62.5\n")
    program.chmod(0o755)
    with pytest.raises(DeadlineError) as caught:
        own_desk.start(options={"binary": str(program)}, deadlines=Deadlines(start=0.5, stop=2))
    assert caught.value.kind == "start"
    assert _end_soon(62.5)


def test_model_that_hangs_can_be_left(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(hang(60))
    session = desk.start()
    turn = session.prompt(Prompt(text="go"))

    def interrupt() -> None:
        model_server.wait_for_requests(1)
        session.interrupt()

    threading.Thread(target=interrupt).start()
    assert list(turn)[-1] == TurnEnded(stop_reason="cancelled")
    model_server.respond(echo)
    assert desk.turn(session, "again").result == "echo: again"


def _end_soon(seconds: float) -> bool:
    """Wait until no process sleeps that long: one that was killed may still be dying."""
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[:2] == ["sleep", str(seconds)]
    ]
    return not psutil.wait_procs(found, timeout=2)[1]
