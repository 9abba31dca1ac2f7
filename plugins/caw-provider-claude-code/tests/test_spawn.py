"""One claude for each turn, for versions without the control protocol."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core.errors import ConfigError, NotResumableError, ProcessError, UnsupportedError
from caw_core.events import Notice, TextDelta, TurnEnded
from caw_core.provider import Prompt
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import big, call, echo, reply, slow, text

from .conftest import ask, fold, is_alive, pid_in
from .test_mcp import ADD, CANARY, STDIO

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

SPAWN = {"protocol": "spawn"}


def old_claude(folder: Path, program: str, version: str) -> str:
    """Make a program that is claude but for its version and the control protocol."""
    script = folder / "old-claude"
    script.write_text(
        "#!/bin/sh\n"
        'case " $* " in\n'
        f'  *" --version "*) echo "{version} (Claude Code)"; exit;;\n'
        '  *stdio*) echo "error: unknown option" >&2; exit 1;;\n'
        "esac\n"
        f'exec {shlex.quote(program)} "$@"\n'
    )
    script.chmod(0o700)
    return str(script)


def test_turns_share_the_conversation_and_stream_the_same_events(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(call("Bash", {"command": "printf abc"})), reply(text("a b c")))
    model_server.respond(echo)
    session = desk.start(options=SPAWN, system_prompt="CAW-SYSTEM")
    assert (session.pid, session.resume_key) == (None, None)
    events = ask(session, "/one @two")
    first = session.pid
    turn = fold(events)
    assert (turn.result, turn.tool_calls[0].output) == ("a b c", "abc")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a ", "b ", "c"]
    assert turn.usage.total_tokens == model_server.usage.total_tokens
    assert turn.usage.cost_usd
    assert fold(ask(session, "two")).result == "echo: two"
    assert first
    assert session.pid != first
    assert not is_alive(first)
    assert model_server.requests[-1].user_texts()[-2:] == ["/one @two", "two"]
    assert all("CAW-SYSTEM" in " ".join(one.system()) for one in model_server.requests)


def test_version_without_the_control_protocol_is_talked_to_once_a_turn(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    program = old_claude(tmp_path, desk.program, "1.0.60")
    session = desk.start(options={"binary": program})
    events = ask(session, "one")
    assert fold(events).result == "echo: one"
    [notice] = [event.message for event in events if isinstance(event, Notice)]
    assert "anew for each turn" in notice
    assert not session.steer(Prompt(text="x"))
    with pytest.raises(UnsupportedError):
        session.models()


@pytest.mark.parametrize(
    ("version", "protocol"), [("2.1.0", "auto"), ("1.0.60", "live"), ("odd", "auto")]
)
def test_other_failures_of_the_start_are_not_hidden(
    desk: Desk, tmp_path: Path, version: str, protocol: str
) -> None:
    program = old_claude(tmp_path, desk.program, version)
    with pytest.raises(ProcessError, match="unknown option"):
        desk.start(options={"binary": program, "protocol": protocol})


def test_unknown_protocol_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="auto, live, spawn"):
        desk.start(options={"protocol": "telepathy"})


def test_permissions_and_kinds_of_tools_hold(desk: Desk, model_server: ModelServer) -> None:
    write = {"file_path": str(desk.home.cwd / "new.txt"), "content": "x"}
    model_server.script(reply(call("Write", write)), reply(text("done")), reply(text("x")))
    turn = fold(ask(desk.start(options=SPAWN, permissions="ask"), "go"))
    assert turn.tool_calls[0].is_error
    assert not (desk.home.cwd / "new.txt").exists()
    ask(desk.start(options=SPAWN, tools=ToolGroup.READER), "go")
    assert "Write" not in model_server.requests[-1].tools


def test_resume_fork_and_model_go_on(desk: Desk, model_server: ModelServer) -> None:
    import uuid

    import attrs

    model_server.respond(echo)
    session = desk.start(options=SPAWN)
    ask(session, "one")
    branch = session.fork(attrs.evolve(session._request, session_id=str(uuid.uuid4())))
    ask(branch, "other")
    branch.close()
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "other"]
    key = session.resume_key
    session.close()
    assert key
    resumed = desk.resume(key, options=SPAWN)
    resumed.set_model("haiku", None)
    ask(resumed, "two")
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]
    assert "haiku" in model_server.requests[-1].model
    with pytest.raises(NotResumableError):
        desk.resume("6c5c1d0e-0000-4000-8000-000000000000", options=SPAWN)


def test_server_is_called_and_its_secret_stays_out_of_argv(
    desk: Desk, model_server: ModelServer
) -> None:
    wait = {"command": "echo $$ > pid; while ! test -e go; do sleep 0.05; done"}
    model_server.script(reply(call("mcp__st__add", ADD)), reply(call("Bash", wait)))
    model_server.script(reply(text("done")))
    session = desk.start(options=SPAWN, mcp_servers=(STDIO,), system_prompt="CAW-SYSTEM")
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(ask(session, "go")))
    thread.start()
    pid_in(desk.home.cwd / "pid")
    assert session.pid
    argv = psutil.Process(session.pid).cmdline()
    (desk.home.cwd / "go").touch()
    thread.join(20)
    assert fold(turns[0]).tool_calls[0].output == "3"
    assert not any(CANARY in word or "CAW-SYSTEM" in word for word in argv)
    files = [Path(word.partition("=")[2]) for word in argv if "caw-claude-" in word]
    assert len(files) == 2
    session.close()
    assert not any(file.exists() for file in files)


def test_interrupt_ends_the_turn_and_the_next_one_works(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(slow(reply(big(2000)), seconds=60))
    session = desk.start(options=SPAWN)
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, TextDelta):
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    assert fold(events).result.startswith("word-")
    model_server.respond(echo)
    assert fold(ask(session, "two")).result == "echo: two"
