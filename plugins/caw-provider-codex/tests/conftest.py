"""What the tests of this plugin share: sessions with the real codex, closed after each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent
from caw_core.deadlines import Deadlines
from caw_core.fold import TurnFold
from caw_core.provider import Prompt, ResumeRequest, StartRequest
from caw_provider_codex import CodexProvider
from caw_provider_codex.session import CodexSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.events import Event
    from caw_core.provider import ProviderSession
    from caw_core.trajectory import Turn
    from caw_testkit.homes import ProgramHome
    from caw_testkit.programs import Program


class Desk:
    """Opens sessions the way that the core does, against one home of codex."""

    def __init__(self, program: Path, home: ProgramHome) -> None:
        self.home = home
        self.provider = CodexProvider()
        self.program = program
        self._sessions: list[CodexSession] = []

    def settings(self, **changes: Any) -> dict[str, Any]:
        env = {**dict.fromkeys(os.environ), **self.home.env, **changes.pop("env", {})}
        options = {"binary": str(self.program), **changes.pop("options", {})}
        settings = {
            "session_id": "session",
            "cwd": self.home.cwd,
            "env": env,
            "options": options,
            "deadlines": Deadlines(start=20, stop=5),
        }
        return {**settings, **changes}

    def start(self, provider: CodexProvider | None = None, **changes: Any) -> CodexSession:
        request = StartRequest(**self.settings(**changes))
        return self._kept((provider or self.provider).start_session(request=request))

    def resume(
        self, key: str, provider: CodexProvider | None = None, **changes: Any
    ) -> CodexSession:
        request = ResumeRequest(resume_key=key, **self.settings(**changes))
        return self._kept((provider or self.provider).resume_session(request=request))

    def _kept(self, session: ProviderSession) -> CodexSession:
        assert isinstance(session, CodexSession)
        self._sessions.append(session)
        return session

    def at(self, home: ProgramHome) -> Desk:
        """Return a desk at another home of codex; sessions are closed together."""
        other = Desk(self.program, home)
        other._sessions = self._sessions
        return other

    def agent(self, **changes: Any) -> Agent:
        """Return an agent with the same settings."""
        settings = self.settings(**changes)
        for name in ("session_id", "permission_desk"):
            settings.pop(name, None)
        return Agent("codex", **settings)

    @staticmethod
    def ask(session: CodexSession, text: str) -> list[Event]:
        return list(session.prompt(Prompt(text=text)))

    @staticmethod
    def fold(events: list[Event]) -> Turn:
        fold = TurnFold(index=0, prompt="")
        for event in events:
            fold.add(event)
        return fold.turn()

    def close(self) -> None:
        for session in self._sessions:
            session.close()


@pytest.fixture
def desk(codex_program: Program, codex_home: ProgramHome) -> Iterator[Desk]:
    desk = Desk(codex_program.path, codex_home)
    yield desk
    desk.close()
