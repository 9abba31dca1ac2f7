"""One real opencode for each turn."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psutil
import pytest

from caw_core.attachments import Attachment
from caw_core.errors import (
    AuthError,
    ConfigError,
    LimitError,
    ModelError,
    NotResumableError,
    SessionBusyError,
    UnsupportedError,
)
from caw_core.events import Notice, Retrying, StructuredDone, ThinkingDone, TurnEnded
from caw_core.permissions import PermissionDesk, allow
from caw_core.provider import Prompt
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, echo, fail, reply, slow, text, think
from caw_testkit.toolserver import SECRET_VARIABLE, SEEN_VARIABLE, digest

from .test_mcp import ADD, stdio

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_core.provider import Permissions
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

UNKNOWN = "ses_00000000000000000000000000"


def _write(file: Path) -> Any:
    return call("write", {"filePath": str(file), "content": "made\n"})


def _bash(command: str) -> Any:
    return call("bash", {"command": command, "description": "test"})


def test_turns_share_one_conversation_with_the_server(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(_bash("printf abc")), reply(think("hm"), text("a b c")))
    model_server.respond(echo)
    changes: dict[str, Any] = {
        "model": "testkit/priced",
        "system_prompt": "CAW-SYSTEM",
        "cwd": tmp_path,
    }
    session = desk.spawn(**changes)
    assert (session.pid, session.resume_key) == (None, None)
    events = desk.ask(session, '/one @two "three"\n')
    assert [event.text for event in events if isinstance(event, ThinkingDone)] == ["hm"]
    turn = desk.fold(events)
    assert turn.result == "a b c"
    assert [(use.name, use.output) for use in turn.tool_calls] == [("bash", "abc")]
    assert turn.usage.total_tokens == model_server.usage.total_tokens
    assert turn.usage.cost_usd
    assert desk.turn(session, "four").result == "echo: four"
    with pytest.raises(SessionBusyError):
        desk.spawn(session.resume_key)
    session.close()
    live = desk.resume(session.resume_key, **changes)
    assert desk.turn(live, "five").result == "echo: five"
    live.close()
    # From another folder; it goes on in its own.
    events = desk.ask(desk.spawn(session.resume_key, **{**changes, "cwd": desk.home.cwd}), "six")
    assert str(tmp_path) in [event.message for event in events if isinstance(event, Notice)][1]
    said = model_server.requests[-1].user_texts()
    assert said == ['/one @two "three"\n', "four", "five", "six"]
    assert all("CAW-SYSTEM" in " ".join(one.system()) for one in model_server.requests)


@pytest.mark.parametrize("mode", ["read-only", "ask", "auto-edit"])
def test_mode_holds_though_somebody_could_be_asked(
    desk: Desk, model_server: ModelServer, tmp_path: Path, mode: Permissions
) -> None:
    model_server.script(reply(_write(tmp_path / "a"), _bash("touch b")), reply(text("went on")))
    person = PermissionDesk(lambda _: allow())
    session = desk.spawn(permissions=mode, cwd=tmp_path, permission_desk=person)
    turn = desk.turn(session)
    made = ["a"] if mode == "auto-edit" else []
    assert [path.name for path in tmp_path.iterdir()] == made
    assert turn.result == "went on"
    reading = {"glob", "grep", "read", "skill", "todowrite"}
    editing = {"edit", "write"} if made else set()
    assert set(model_server.requests[-1].tools) == reading | editing


def test_settings_of_the_user_are_never_widened(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    mine = {"prompt": "MY-AGENT", "permission": {"edit": {"*": "allow", "*secret": "deny"}}}
    config = {"agent": {"mine": {"mode": "primary", **mine}}, "default_agent": "mine"}
    model_server.script(
        reply(_write(tmp_path / "secret"), _write(tmp_path / "open")), reply(text("went on"))
    )
    session = desk.spawn(permissions="auto-edit", cwd=tmp_path, options={"config": config})
    desk.turn(session)
    assert [path.name for path in tmp_path.iterdir()] == ["open"]
    assert "MY-AGENT" in " ".join(model_server.requests[-1].system())


def test_kinds_of_tools_hold_and_leave_a_conversation_as_it_was(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    live = desk.start(permissions="read-only")
    desk.turn(live)
    live.close()
    with pytest.raises(UnsupportedError, match="other permissions"):
        desk.spawn(live.resume_key, permissions="full")
    desk.turn(desk.spawn(live.resume_key, permissions="read-only"))
    assert "bash" not in model_server.requests[-1].tools
    desk.turn(desk.spawn(tools=ToolGroup.READER | ToolGroup.PARALLEL))
    offered = set(model_server.requests[-1].tools)
    assert offered == {"glob", "grep", "read", "skill", "task", "todowrite"}


def test_tool_server_is_called_and_its_secret_stays_private(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    wait = "env > env; echo $$ > pid; while ! test -e go; do sleep 0.05; done"
    model_server.script(ADD, reply(_bash(wait)), reply(text("done")))
    token = secrets.token_hex()
    secret, seen = f' "{token} ', tmp_path / "seen"
    session = desk.spawn(
        mcp_servers=(stdio({SECRET_VARIABLE: secret, SEEN_VARIABLE: str(seen)}),),
        system_prompt="CAW-SYSTEM",
        cwd=tmp_path,
    )
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(desk.turn(session)))
    thread.start()
    while not (tmp_path / "pid").exists():
        assert thread.is_alive()
        time.sleep(0.02)
    assert session.pid
    argv = " ".join(psutil.Process(session.pid).cmdline())
    (tmp_path / "go").touch()
    thread.join()
    [use, _] = turns[0].tool_calls
    assert (use.name, use.output) == ("sums.add", "3")
    env = (tmp_path / "env").read_text()
    assert seen.read_text() == digest(secret)
    assert token not in argv + env
    assert "CAW-SYSTEM" not in argv + env
    [folder] = {Path(found) for found in re.findall(r"/[^\"{}:]*caw-opencode-\w+", env)}
    assert folder.stat().st_mode & 0o077 == 0
    session.close()
    assert not folder.exists()


def test_interrupt_ends_the_command_and_the_next_turn_works(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(_bash("touch begun; sleep 63.875")))
    session = desk.spawn(cwd=tmp_path)
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(desk.ask(session, "go")))
    thread.start()
    while not (tmp_path / "begun").exists():
        assert thread.is_alive()
        time.sleep(0.02)
    session.interrupt()
    thread.join()
    assert turns[0][-1] == TurnEnded(stop_reason="cancelled")
    assert not [one for one in psutil.process_iter(["cmdline"]) if "63.875" in _words(one)]
    model_server.respond(echo)
    assert desk.turn(session, "two").result == "echo: two"
    assert model_server.requests[-1].user_texts() == ["go", "two"]


def _words(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


def test_failed_requests_are_told_and_bounded(desk: Desk, model_server: ModelServer) -> None:
    for _ in range(3):
        model_server.script(fail(429, "slow down"))
    session = desk.spawn(options={"max_retries": 1})
    events: list[Event] = []
    with pytest.raises(LimitError, match="slow down") as caught:
        events.extend(session.prompt(Prompt(text="go")))
    assert caught.value.kind == "rate"
    assert [event.attempt for event in events if isinstance(event, Retrying)] == [1]
    model_server.clear()


def test_errors_have_their_class(desk: Desk, model_server: ModelServer) -> None:
    session = desk.spawn()
    model_server.script(fail(401, "bad key"))
    with pytest.raises(AuthError, match="bad key"):
        desk.turn(session)
    session.set_model("testkit/nope", None)
    with pytest.raises(ModelError, match="testkit/nope"):
        desk.turn(session)
    session.set_model("testkit/m1", None)
    model_server.respond(echo)
    assert desk.turn(session, "on").result == "echo: on"


def test_what_does_not_exist_is_refused_at_the_start(desk: Desk) -> None:
    with pytest.raises(NotResumableError, match="does not have"):
        desk.spawn(UNKNOWN)
    with pytest.raises(NotResumableError, match="no id"):
        desk.spawn("--help")
    with pytest.raises(ConfigError, match="no agent 'nobody'"):
        desk.spawn(options={"agent": "nobody"})


def test_text_is_attached_and_an_answer_has_a_form(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text('Here: {"a": 1}')))
    session = desk.spawn()
    note = Attachment(name="note.txt", mime_type="text/plain", data=b"FROM-THE-NOTE")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    events = list(session.prompt(Prompt(text="go", attachments=(note,), output_schema=schema)))
    assert [event.value for event in events if isinstance(event, StructuredDone)] == [{"a": 1}]
    said = json.dumps(model_server.requests[-1].user_texts())
    assert "FROM-THE-NOTE" in said
    assert "JSON Schema" in said


def test_what_needs_the_server_says_so(desk: Desk) -> None:
    session = desk.spawn()
    assert not session.steer(Prompt(text="x"))
    with pytest.raises(UnsupportedError, match="server"):
        session.models()
    with pytest.raises(UnsupportedError, match="server"):
        session.fork(attrs.evolve(session.request, session_id="other"))
    image = Attachment(name="a.png", mime_type="image/png", data=b"\x89PNG")
    for prompt in (
        Prompt(text="/x", commands=True),
        Prompt(text="x", attachments=(image,)),
        Prompt(text=" \n"),
    ):
        with pytest.raises(UnsupportedError):
            list(session.prompt(prompt))


def test_stream_that_the_caller_leaves_ends_the_program(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(_bash("printf abc")), slow(reply(text("a " * 50)), seconds=60))
    session = desk.spawn()
    pid = None
    for event in session.prompt(Prompt(text="go")):
        if not isinstance(event, Notice):
            pid = session.pid
            break
    assert pid
    assert not psutil.pid_exists(pid)
    model_server.clear()
