"""Which protocol is used, with programs whose app-server does not work."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.deadlines import Deadlines
from caw_core.errors import DeadlineError, NotResumableError, ProcessError
from caw_core.events import Notice
from caw_core.provider import StartRequest
from caw_provider_codex.session import CodexSession
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex


class Stub:
    """A program whose ``app-server`` does what a test says, and which is the real codex else."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self._folder = folder
        self._desk = desk

    def program(self, app_server: str) -> Path:
        file = self._folder / "codex"
        file.write_text(
            f'#!{sys.executable}\nimport os, sys, time\nif sys.argv[1:] == ["app-server"]:\n'
            f"    {app_server}\n"
            f"os.execv({str(self._desk.program)!r}, sys.argv)\n",
        )
        file.chmod(0o755)
        return file


@pytest.fixture
def stub(tmp_path: Path, desk: Desk) -> Stub:
    return Stub(tmp_path, desk)


SAY = "sys.stdin.readline(); print('%s', flush=True); time.sleep(600)"
OLD = SAY % '{"id":1,"result":{"userAgent":"caw/0.150.9 (x)"}}'
REFUSES = SAY % '{"id":1,"error":{"code":-1,"message":"no"}}'


@pytest.mark.parametrize(
    ("app_server", "why"),
    [
        ('sys.exit("error: unrecognized subcommand")', "unrecognized subcommand"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        (OLD, "0.150.9 is older than 0.151.0"),
        (REFUSES, "refused the handshake"),
        ("time.sleep(600)", "did not answer the handshake"),
    ],
)
def test_program_without_a_usable_app_server_falls_back(
    desk: Desk, model_server: ModelServer, stub: Stub, app_server: str, why: str
) -> None:
    model_server.respond(echo)
    agent = desk.agent(
        options={"binary": str(stub.program(app_server))}, deadlines=Deadlines(start=10)
    )
    with agent.start_session() as session:
        events = list(session.stream("hi"))
        handle = session.resume_handle
    told = [event.message for event in events if isinstance(event, Notice)]
    assert why in told[0]
    assert "codex exec is used" in told[0]
    assert not [
        child for child in psutil.Process().children() if str(stub._folder) in child.cmdline()
    ]
    with agent.resume_session(handle) as session:
        assert session.send("on").result == "echo: on"
    assert model_server.requests[-1].user_texts()[-2:] == ["hi", "on"]


@pytest.mark.parametrize(
    ("app_server", "error"),
    [("sys.exit(3)", ProcessError), ("time.sleep(600)", DeadlineError)],
)
def test_app_server_alone_is_never_replaced(
    desk: Desk, stub: Stub, app_server: str, error: type[Exception]
) -> None:
    options = {"binary": str(stub.program(app_server)), "protocol": "live"}
    with pytest.raises(error):
        desk.start(options=options, deadlines=Deadlines(start=1))


def test_short_deadline_is_no_reason_to_fall_back(desk: Desk, stub: Stub) -> None:
    options = {"binary": str(stub.program("time.sleep(600)"))}
    with pytest.raises(DeadlineError):
        desk.start(options=options, deadlines=Deadlines(start=1))


def test_error_about_the_conversation_is_no_reason_to_fall_back(desk: Desk) -> None:
    with pytest.raises(NotResumableError):
        desk.resume("01a1fd4e-4bbb-7802-96f5-516ac68e3710")


def test_working_app_server_is_used_by_itself(desk: Desk) -> None:
    session = desk.provider.start_session(request=StartRequest(**desk.settings()))
    assert isinstance(session, CodexSession)
    session.close()
    assert os.getpid() != session.pid
