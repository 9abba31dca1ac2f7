"""Conversations that the real opencode's own interfaces made."""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import NotResumableError
from caw_core.provider import NativeSession, Prompt
from caw_testkit.modelserver import Usage, call, echo, reply, text, think

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def _run(desk: Desk, folder: Path, *args: str) -> None:
    subprocess.run(
        [str(desk.program), "run", "--format", "json", *args],
        cwd=folder,
        env=desk.home.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
    )


def _tui(desk: Desk, folder: Path, prompt: str, model_server: ModelServer) -> None:
    """Have opencode's own interface send a prompt, and leave it once the model has answered."""
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [str(desk.program), "--prompt", prompt],
        cwd=folder,
        env=desk.home.env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    try:
        while not model_server.usage.total_tokens:
            if select.select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(inside)


def test_sessions_of_opencodes_own_are_found_newest_first(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    model_server.respond(echo)
    _run(desk, here, "--title", "first", "one")
    _run(desk, here, "--title", "second", "two")
    desk.start(cwd=elsewhere)
    agent = desk.agent(cwd=here)
    found = agent.find_sessions()
    assert [native.title for native in found] == ["second", "first"]
    assert all(native.cwd == str(here) and native.updated_at for native in found)


def test_session_of_the_terminal_interface_goes_on_here(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    _tui(desk, tmp_path, "from the terminal", model_server)
    agent = desk.agent(cwd=tmp_path)
    [native] = agent.find_sessions()
    with agent.resume_session(native) as session:
        assert session.trajectory.turns[0].input == "from the terminal"
        assert session.send("from here").result == "echo: from here"
        assert session.trajectory.num_turns == 2
    assert model_server.requests[-1].user_texts()[-2:] == ["from the terminal", "from here"]


def test_record_that_is_read_equals_the_one_that_was_seen(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    command = {"command": "printf hi", "description": "print"}
    usage = Usage(input_tokens=100, cached_tokens=40, output_tokens=20)
    model_server.script(
        reply(think("Hm."), call("bash", command), usage=usage),
        reply(text("done"), usage=usage),
        reply(text("second"), usage=usage),
    )
    session = desk.start(cwd=tmp_path, model="testkit/priced")
    seen = [desk.turn(session, "one"), desk.turn(session, "two")]
    record = desk.provider.read_session(
        native=_native(desk, session.resume_key), options=_own(desk)
    )
    assert [turn.input for turn in record.turns] == ["one", "two"]
    assert [turn.output for turn in record.turns] == [turn.output for turn in seen]
    assert [turn.usage for turn in record.turns] == [turn.usage for turn in seen]
    assert [turn.status for turn in record.turns] == ["completed", "completed"]
    assert (record.cwd, record.model) == (str(tmp_path), "testkit/priced")
    assert all(turn.started_at and turn.duration_ms for turn in record.turns)


def test_interrupted_turn_is_read_as_such(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    command = {"command": "echo hi; sleep 60", "description": "sleep"}
    model_server.script(reply(call("bash", command)))
    session = desk.start(cwd=tmp_path)
    for event in session.prompt(Prompt(text="go")):
        if event.type == "tool_output":
            session.interrupt()
    record = desk.provider.read_session(
        native=_native(desk, session.resume_key), options=_own(desk)
    )
    assert [turn.status for turn in record.turns] == ["interrupted"]


def test_session_that_is_gone_is_not_resumable(desk: Desk) -> None:
    with pytest.raises(NotResumableError):
        desk.provider.read_session(native=_native(desk, "ses_0000000000"), options=_own(desk))


def _native(desk: Desk, key: str | None) -> NativeSession:
    return NativeSession(provider="opencode", resume_key=str(key), env=desk.settings()["env"])


def _own(desk: Desk) -> dict[str, Any]:
    return {"binary": str(desk.program)}
