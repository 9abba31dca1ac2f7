"""Conversations in codex's own store: found, read, and continued."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core import Agent
from caw_core.blocks import SteerBlock, ToolUse
from caw_core.errors import AuthError, NotResumableError
from caw_core.events import ToolStarted
from caw_core.provider import NativeSession, Prompt
from caw_testkit.modelserver import Usage, call, echo, fail, reply, text, think

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

PATCH = "*** Begin Patch\n*** Add File: new\n+x\n*** End Patch"
MODEL = "gpt-6-luna"
"""codex's own interface asks about models that have a successor; this one has none."""


def env_of(desk: Desk) -> dict[str, str | None]:
    return {
        **dict.fromkeys(os.environ),
        **desk.home.env,
        "CAW_CODEX_PATH": str(desk.program),
    }


def found(desk: Desk, cwd: Path | None = None) -> list[NativeSession]:
    return desk.provider.find_sessions(cwd=cwd or desk.home.cwd, env=env_of(desk), options={})


def children_of_codex() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "codex"]


def test_sessions_of_a_folder_are_found_newest_first(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sessions = [desk.start(), desk.start(cwd=elsewhere)]
    for session, prompt in zip(sessions, ("one\nmore", "two"), strict=True):
        desk.ask(session, prompt)
        session.close()
    [native] = found(desk)
    assert (native.resume_key, native.cwd) == (sessions[0].resume_key, str(desk.home.cwd))
    assert native.title == "one"
    assert native.updated_at.endswith("+00:00")
    assert native.path.endswith(".jsonl")
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    assert [entry.title for entry in found(desk, link)] == ["two"]
    assert found(desk, tmp_path) == []


def test_looking_leaves_no_process_behind(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    session.close()
    [native] = found(desk)
    desk.provider.read_session(native=native, options={})
    assert children_of_codex() == []


def test_record_holds_what_was_said_done_and_used(desk: Desk, model_server: ModelServer) -> None:
    used = Usage(input_tokens=100, cached_tokens=40, output_tokens=20)
    model_server.script(
        reply(think("Hm."), call("exec_command", {"cmd": "printf hi; sleep 0.5"}), usage=used),
        reply(call("apply_patch", PATCH), usage=used),
        reply(text("done"), usage=used),
        fail(400, "too bad"),
        reply(text("fine")),
    )
    session = desk.start()
    for event in session.prompt(Prompt(text="go")):
        if isinstance(event, ToolStarted) and event.name == "command_execution":
            session.steer(Prompt(text="quickly"))
    with pytest.raises(Exception, match="too bad"):
        desk.ask(session, "fail")
    desk.ask(session, "again")
    session.close()
    [native] = found(desk)
    record = desk.provider.read_session(native=native, options={})
    go, failed, again = record.turns
    assert (record.provider, record.resume_key) == ("codex", session.resume_key)
    assert record.cwd == str(desk.home.cwd)
    assert [turn.input for turn in record.turns] == ["go", "fail", "again"]
    assert [turn.status for turn in record.turns] == ["completed", "failed", "completed"]
    kinds = [block.type for block in go.output]
    assert kinds == ["thinking", "tool_use", "steer", "tool_use", "text"]
    command, change = go.tool_calls
    assert isinstance(command, ToolUse)
    assert (command.name, command.output, change.name) == ("command_execution", "hi", "file_change")
    assert [block.text for block in go.output if isinstance(block, SteerBlock)] == ["quickly"]
    assert (go.usage.input_tokens, go.usage.cache_read_tokens) == (180, 120)
    assert (go.model, go.result, go.stop_reason) == ("gpt-5.5", "done", "end_turn")
    assert go.duration_ms > 0
    assert failed.error is not None
    assert "too bad" in failed.error.message
    assert (again.result, again.usage.total_tokens) == ("fine", 15)


def test_gone_conversation_cannot_be_read(desk: Desk) -> None:
    native = NativeSession(
        provider="codex", resume_key="01a1fd4e-4bbb-7802-96f5-516ac68e3710", env=env_of(desk)
    )
    with pytest.raises(NotResumableError):
        desk.provider.read_session(native=native, options={})


class Terminal:
    """codex's own interface in a terminal, as a user starts it."""

    def __init__(self, program: Path, cwd: Path, env: Mapping[str, str], prompt: str) -> None:
        argv = [str(program), "--no-daemon", "-m", MODEL, prompt]
        self.pid, self._screen = pty.fork()
        if not self.pid:
            os.chdir(cwd)
            os.execve(argv[0], argv, dict(env))  # noqa: S606 - what a user does
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while not self._over.is_set():
            if not select.select([self._screen], [], [], 0.05)[0]:
                continue
            try:
                seen = os.read(self._screen, 65536)
            except OSError:
                return
            if b"\x1b[6n" in seen:
                os.write(self._screen, b"\x1b[1;1R")
            if b"\x1b[c" in seen:
                os.write(self._screen, b"\x1b[?1;2c")

    def leave(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        self._over.set()
        self._reader.join()
        os.close(self._screen)


def wait_for_turn(home: Path) -> None:
    """Wait until a conversation below *home* has the end of a turn."""
    end = time.monotonic() + 30
    while not any(b"task_complete" in file.read_bytes() for file in home.rglob("rollout-*.jsonl")):
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def test_conversation_of_codexs_own_interface_is_continued(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    terminal = Terminal(desk.program, desk.home.cwd, desk.home.env, "typed by hand")
    try:
        model_server.wait_for_requests(1, timeout=30)
        wait_for_turn(desk.home.path)
    finally:
        terminal.leave()
    agent = Agent("codex", cwd=desk.home.cwd, env=env_of(desk), options={})
    [native] = agent.find_sessions()
    assert native.title == "typed by hand"
    with agent.resume_session(native) as session:
        [typed] = session.trajectory.turns
        assert (typed.input, typed.result) == ("typed by hand", "echo: typed by hand")
        assert session.send("and by caw").result == "echo: and by caw"
    request = model_server.requests[-1]
    assert request.user_texts()[-2:] == ["typed by hand", "and by caw"]
    assert request.model == MODEL


def test_health_is_probed_with_one_turn(
    desk: Desk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.respond(lambda _: reply(text("ok")))
    for name, value in env_of(desk).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    agent = Agent("codex", cwd=desk.home.cwd)
    idle = agent.check_health()
    assert (idle.ok, idle.probed, len(model_server.requests)) == (True, False, 0)
    health = agent.check_health(live=True)
    assert health.ok
    assert health.turn is not None
    assert health.turn.result == "ok"


def test_health_tells_of_a_key_that_is_refused(
    desk: Desk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.respond(lambda _: fail(401))
    for name, value in env_of(desk).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    health = Agent("codex", cwd=desk.home.cwd).check_health(live=True)
    assert (health.ok, health.readiness.ready) == (False, True)
    assert isinstance(health.error, AuthError)
