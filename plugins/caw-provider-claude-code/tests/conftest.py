"""What the tests of this plugin share: sessions with the real claude, closed after each test."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core.deadlines import Deadlines
from caw_core.fold import TurnFold
from caw_core.provider import Prompt, ResumeRequest, StartRequest
from caw_provider_claude_code import ClaudeCodeProvider
from caw_provider_claude_code.session import ClaudeCodeSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.events import Event
    from caw_core.provider import ProviderSession
    from caw_core.trajectory import Turn
    from caw_testkit.homes import ProgramHome
    from caw_testkit.programs import Program


class Desk:
    """Opens sessions the way that the core does, against one home of claude."""

    def __init__(self, program: Program, home: ProgramHome) -> None:
        self.home = home
        self.provider = ClaudeCodeProvider()
        self.program = str(program.path)
        self._sessions: list[ClaudeCodeSession] = []

    def settings(self, **changes: Any) -> dict[str, Any]:
        env = {**dict.fromkeys(os.environ), **self.home.env, **changes.pop("env", {})}
        options = {"binary": self.program, **changes.pop("options", {})}
        settings = {
            "session_id": "session",
            "cwd": self.home.cwd,
            "env": env,
            "options": options,
            "permissions": "full",
            "deadlines": Deadlines(start=30, stop=5),
        }
        return {**settings, **changes}

    def start(self, **changes: Any) -> ClaudeCodeSession:
        request = StartRequest(**self.settings(**changes))
        return self._kept(self.provider.start_session(request=request))

    def resume(self, key: str, **changes: Any) -> ClaudeCodeSession:
        request = ResumeRequest(resume_key=key, **self.settings(**changes))
        return self._kept(self.provider.resume_session(request=request))

    def _kept(self, session: ProviderSession) -> ClaudeCodeSession:
        assert isinstance(session, ClaudeCodeSession)
        self._sessions.append(session)
        return session

    def close(self) -> None:
        for session in self._sessions:
            session.close()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))


@pytest.fixture
def desk(claude_program: Program, claude_home: ProgramHome) -> Iterator[Desk]:
    desk = Desk(claude_program, claude_home)
    yield desk
    desk.close()


def ask(session: ClaudeCodeSession, text: str) -> list[Event]:
    return list(session.prompt(Prompt(text=text)))


def fold(events: list[Event]) -> Turn:
    fold = TurnFold(index=0, prompt="")
    for event in events:
        fold.add(event)
    return fold.turn()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in(file: Path) -> int:
    """Wait until a command has written its process id, and return it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if file.is_file() and file.read_text().endswith("\n"):
            return int(file.read_text())
        time.sleep(0.02)  # a file is all that the command has to say it with
    raise TimeoutError(file)
