"""Sessions of the real claude: resuming, locks, crashes, ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.deadlines import Deadlines
from caw_core.errors import (
    ConfigError,
    DeadlineError,
    NotResumableError,
    ProcessError,
    SessionBusyError,
    SessionStateError,
)
from caw_core.events import Notice, TextDelta, TurnEnded
from caw_core.provider import Prompt
from caw_core.trajectory import Trajectory
from caw_testkit.modelserver import big, call, echo, hang, reply, slow, text

from .conftest import ask, fold, is_alive, pid_in

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

SYSTEM = "Always answer as CAW-SYSTEM."


def systems(server: ModelServer) -> list[bool]:
    return [SYSTEM in json.dumps(request.body["system"]) for request in server.requests]


def test_system_prompt_holds_on_every_turn_and_after_a_resume(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    ask(session, "one")
    ask(session, "two")
    key = session.resume_key
    session.close()
    assert key
    ask(desk.resume(key, system_prompt=SYSTEM), "three")
    assert systems(model_server) == [True, True, True]
    assert "Claude" in json.dumps(model_server.requests[-1].body["system"])
    assert model_server.requests[-1].user_texts()[-3:] == ["one", "two", "three"]


def test_system_prompt_can_replace_claudes_own(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    added = desk.start(system_prompt=SYSTEM)
    replaced = desk.start(system_prompt=SYSTEM, options={"system_prompt_mode": "replace"})
    ask(added, "go")
    ask(replaced, "go")
    assert systems(model_server) == [True, True]
    long, short = (len(json.dumps(request.body["system"])) for request in model_server.requests)
    assert short < long / 2


def test_unknown_system_prompt_mode_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="append, replace"):
        desk.start(options={"system_prompt_mode": "both"})


def test_no_text_of_the_caller_is_in_argv(desk: Desk, model_server: ModelServer) -> None:
    import psutil

    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    ask(session, "a private prompt")
    assert session.pid
    argv = " ".join(psutil.Process(session.pid).cmdline())
    assert SYSTEM not in argv
    assert "private" not in argv


def test_caws_id_is_claudes_when_it_can_be(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    own = str(uuid.uuid4())
    first = desk.start(session_id=own)
    assert first.resume_key is None
    ask(first, "one")
    assert first.resume_key == own
    first.close()
    second = desk.start(session_id=own)
    ask(second, "two")
    assert second.resume_key not in (None, own)


def test_conversation_goes_on_from_another_folder(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    session = desk.start()
    ask(session, "one")
    key = session.resume_key
    session.close()
    assert key
    other = tmp_path / "else where"
    other.mkdir()
    resumed = desk.resume(key, cwd=other)
    ask(resumed, "two")
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]
    assert resumed.resume_key == key


@pytest.mark.parametrize(
    "key", ["6c5c1d0e-0000-4000-8000-000000000000", "../../etc/passwd", "a title", "*", "-" * 36]
)
def test_unknown_conversation_is_not_resumable(desk: Desk, key: str) -> None:
    with pytest.raises(NotResumableError):
        desk.resume(key)


def test_key_of_a_record_is_its_resume_key_or_the_old_wrappers_id(desk: Desk) -> None:
    own = str(uuid.uuid4())
    record = Trajectory(session_id=own, provider="claude_code")
    key_of = desk.provider.resume_key_from_trajectory
    assert key_of(trajectory=record) == own
    assert key_of(trajectory=Trajectory(session_id="x", provider="claude_code")) is None
    other = Trajectory(session_id=own, provider="claude_code", resume_key="key")
    assert key_of(trajectory=other) == "key"


def test_open_conversation_is_busy_for_a_second_session(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    ask(session, "one")
    assert session.resume_key
    with pytest.raises(SessionBusyError) as caught:
        desk.resume(session.resume_key)
    assert caught.value.holder == "this process"
    session.close()
    assert fold(ask(desk.resume(session.resume_key), "two")).result == "echo: two"


def test_killed_claude_fails_the_turn_and_the_next_prompt_resumes(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    ask(session, "one")
    pid, key = session.pid, session.resume_key
    assert pid
    model_server.script(slow(reply(big(2000)), seconds=60))
    running = session.prompt(Prompt(text="two"))
    while not isinstance(next(running), TextDelta):
        pass
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessError) as caught:
        list(running)
    assert caught.value.signal == signal.SIGKILL
    events = ask(session, "three")
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "claude had ended; it was started again and the conversation was resumed"
    ]
    assert fold(events).result == "echo: three"
    assert model_server.requests[-1].user_texts()[-3:] == ["one", "two", "three"]
    assert session.pid != pid
    assert session.resume_key == key
    assert all(systems(model_server))


def test_claude_that_died_before_the_first_prompt_starts_again(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    pid = session.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        pass
    try:
        events = ask(session, "one")
    except ProcessError:  # the pipe broke before the death was seen
        events = ask(session, "one")
    assert fold(events).result == "echo: one"


def test_usage_after_a_restart_counts_from_zero(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    first = fold(ask(session, "one")).usage
    assert session.pid
    session._running().stop(5)
    second = fold(ask(session, "two")).usage
    assert (second.total_tokens, second.cost_usd) == (first.total_tokens, first.cost_usd)


def test_interrupt_while_text_streams_keeps_what_was_said(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    session = desk.start()
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, TextDelta):
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    assert fold(events).result.startswith("word-")
    pid = session.pid
    model_server.respond(echo)
    assert fold(ask(session, "two")).result == "echo: two"
    assert session.pid == pid


def test_interrupt_right_after_the_prompt_ends_the_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(lambda _: hang())
    session = desk.start()
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(ask(session, "go")))
    thread.start()
    while session._turn is None or not session._turn.started:
        pass
    session.interrupt()
    thread.join(20)
    assert turns[0][-1] == TurnEnded(stop_reason="cancelled")


@pytest.mark.parametrize(
    "command",
    [
        "sleep 1000 & echo $! > pid; wait",
        "trap '' TERM; sleep 1000 & echo $! > pid; wait",
        "setsid sleep 1000 & echo $! > pid; wait",
    ],
)
def test_interrupt_ends_the_command_and_all_that_it_started(
    desk: Desk, model_server: ModelServer, command: str
) -> None:
    model_server.script(reply(call("Bash", {"command": command})))
    session = desk.start()
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(ask(session, "go")))
    thread.start()
    pid = pid_in(desk.home.cwd / "pid")
    session.interrupt()
    thread.join(20)
    assert turns[0][-1] == TurnEnded(stop_reason="cancelled")
    assert not is_alive(pid)
    assert session.pid
    assert is_alive(session.pid)
    model_server.script(reply(text("fine")))
    assert fold(ask(session, "next")).result == "fine"


def test_interrupt_leaves_an_earlier_background_command_alone(
    desk: Desk, model_server: ModelServer
) -> None:
    server = {"command": "echo $$ > server; sleep 1000", "run_in_background": True}
    model_server.script(reply(call("Bash", server)))
    model_server.script(reply(call("Bash", {"command": "echo $$ > pid; sleep 1000"})))
    session = desk.start()
    thread = threading.Thread(target=lambda: ask(session, "go"))
    thread.start()
    pid = pid_in(desk.home.cwd / "pid")
    session.interrupt()
    thread.join(20)
    background = pid_in(desk.home.cwd / "server")
    assert not is_alive(pid)
    assert is_alive(background)
    session.close()
    assert not is_alive(background)


def test_interrupt_without_a_turn_does_nothing(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    session.interrupt()
    assert fold(ask(session, "one")).result == "echo: one"


def test_abandoned_iteration_interrupts_the_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    session = desk.start()
    running: Any = session.prompt(Prompt(text="go"))
    while not isinstance(next(running), TextDelta):
        pass
    running.close()
    model_server.respond(echo)
    assert [getattr(block, "text", "") for block in fold(ask(session, "two")).output] == [
        "echo: two"
    ]


def test_close_ends_everything_and_may_be_repeated(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("Bash", {"command": "echo $$ > pid; sleep 1000"})))
    session = desk.start()
    thread = threading.Thread(target=lambda: list(session.prompt(Prompt(text="go"))))
    thread.start()
    shell, claude = pid_in(desk.home.cwd / "pid"), session.pid
    assert claude
    session.close()
    session.close()
    thread.join(20)
    assert not thread.is_alive()
    assert not is_alive(shell)
    assert not is_alive(claude)
    with pytest.raises(SessionStateError):
        ask(session, "more")


def test_close_ends_commands_in_the_background_without_another_model_call(
    desk: Desk, model_server: ModelServer
) -> None:
    server = {"command": "echo $$ > server; sleep 1000", "run_in_background": True}
    model_server.script(reply(call("Bash", server)), reply(text("runs")))
    # Longer than claude waits for the command before it ends that itself.
    session = desk.start(deadlines=Deadlines(start=30, stop=10))
    ask(session, "go")
    background = pid_in(desk.home.cwd / "server")
    session.close()
    assert not is_alive(background)
    assert len(model_server.requests) == 2


def test_second_prompt_while_one_runs_is_refused(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    session = desk.start()
    running: Any = session.prompt(Prompt(text="go"))
    while not isinstance(next(running), TextDelta):
        pass
    with pytest.raises(SessionBusyError):
        ask(session, "more")
    running.close()


def test_prompt_that_is_interrupted_before_it_is_sent_is_never_sent(
    desk: Desk, model_server: ModelServer
) -> None:
    session = desk.start()
    session._running().stop(5)  # the restart's notice comes before the prompt
    running = session.prompt(Prompt(text="go"))
    assert isinstance(next(running), Notice)
    session.interrupt()
    assert list(running) == [TurnEnded(stop_reason="cancelled")]
    assert model_server.requests == []


def test_program_that_never_answers_passes_the_start_deadline(desk: Desk, tmp_path: Path) -> None:
    silent = tmp_path / "claude"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o700)
    with pytest.raises(DeadlineError) as caught:
        desk.start(options={"binary": str(silent)}, deadlines=Deadlines(start=0.2, stop=0.5))
    assert caught.value.kind == "start"


def test_program_that_ends_at_once_says_what_it_said(desk: Desk, tmp_path: Path) -> None:
    broken = tmp_path / "claude"
    broken.write_text("#!/bin/sh\necho 'no luck today' >&2\nexit 7\n")
    broken.chmod(0o700)
    with pytest.raises(ProcessError, match="no luck today") as caught:
        desk.start(options={"binary": str(broken)})
    assert caught.value.exit_code == 7
