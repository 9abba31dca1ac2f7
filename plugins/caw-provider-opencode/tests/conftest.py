"""What the tests of this plugin share: one real opencode server, and sessions in it.

A server takes seconds to start, so all tests of a run use the same one, except those that need
their own because they end it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent
from caw_core.deadlines import Deadlines
from caw_core.fold import TurnFold
from caw_core.provider import Prompt, ResumeRequest, StartRequest
from caw_provider_opencode import OpencodeProvider
from caw_provider_opencode.run_session import RunSession
from caw_provider_opencode.session import OpencodeSession
from caw_testkit.homes import opencode_home
from caw_testkit.modelserver import ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.events import Event
    from caw_core.provider import ProviderSession
    from caw_core.trajectory import Turn
    from caw_testkit.homes import ProgramHome
    from caw_testkit.programs import Program

PRICED = {
    "name": "priced",
    "tool_call": True,
    "reasoning": True,
    "attachment": True,
    "modalities": {"input": ["text", "image"], "output": ["text"]},
    "limit": {"context": 200_000, "output": 32_000},
    "cost": {"input": 1, "output": 2},
    "variants": {"high": {"reasoningEffort": "high"}},
}


class Desk:
    """Opens sessions the way that the core does, against one home of opencode."""

    def __init__(self, program: Path, home: ProgramHome, provider: OpencodeProvider) -> None:
        self.home = home
        self.provider = provider
        self.program = program
        self._sessions: list[ProviderSession] = []

    def settings(self, **changes: Any) -> dict[str, Any]:
        env = {**dict.fromkeys(os.environ), **self.home.env, **changes.pop("env", {})}
        options = {"binary": str(self.program), **changes.pop("options", {})}
        settings = {
            "session_id": "session",
            "cwd": self.home.cwd,
            "env": env,
            "options": options,
            "permissions": "full",
            "deadlines": Deadlines(start=60, stop=5),
        }
        return {**settings, **changes}

    def start(self, provider: OpencodeProvider | None = None, **changes: Any) -> OpencodeSession:
        request = StartRequest(**self.settings(**changes))
        return self._kept((provider or self.provider).start_session(request=request))

    def resume(
        self, key: str | None, provider: OpencodeProvider | None = None, **changes: Any
    ) -> OpencodeSession:
        request = ResumeRequest(resume_key=str(key), **self.settings(**changes))
        return self._kept((provider or self.provider).resume_session(request=request))

    def spawn(self, key: str | None = None, **changes: Any) -> RunSession:
        """Open a session that starts opencode for each turn."""
        options = {"protocol": "spawn", **changes.pop("options", {})}
        settings = self.settings(**changes, options=options)
        session = (
            self.provider.start_session(request=StartRequest(**settings))
            if key is None
            else self.provider.resume_session(request=ResumeRequest(resume_key=key, **settings))
        )
        assert isinstance(session, RunSession)
        self._sessions.append(session)
        return session

    def agent(self, **changes: Any) -> Agent:
        settings = self.settings(**changes)
        del settings["session_id"]
        deadlines = settings.pop("deadlines")
        return Agent("opencode", deadlines=deadlines, **settings)

    def _kept(self, session: ProviderSession) -> OpencodeSession:
        assert isinstance(session, OpencodeSession)
        self._sessions.append(session)
        return session

    @staticmethod
    def ask(session: ProviderSession, text: str) -> list[Event]:
        return list(session.prompt(Prompt(text=text)))

    @staticmethod
    def fold(events: list[Event]) -> Turn:
        fold = TurnFold(index=0, prompt="")
        for event in events:
            fold.add(event)
        return fold.turn()

    def turn(self, session: ProviderSession, text: str = "go") -> Turn:
        return self.fold(self.ask(session, text))

    def close(self) -> None:
        for session in self._sessions:
            session.close()


@pytest.fixture(scope="session", autouse=True)
def _caw_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAW_HOME", str(tmp_path_factory.mktemp("caw")))
        yield


@pytest.fixture(scope="session")
def shared_model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_home(shared_model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> ProgramHome:
    config = {"provider": {"testkit": {"models": {"priced": PRICED}}}}
    return opencode_home(tmp_path_factory.mktemp("opencode"), shared_model, config=config)


@pytest.fixture(scope="session")
def shared_desk(opencode_program: Program, shared_home: ProgramHome) -> Iterator[Desk]:
    desk = Desk(opencode_program.path, shared_home, OpencodeProvider())
    # While this session is open, the server runs.
    desk.start()
    yield desk
    desk.close()


@pytest.fixture
def model_server(shared_model: ModelServer) -> Iterator[ModelServer]:
    shared_model.clear()
    yield shared_model
    shared_model.verify()


@pytest.fixture
def desk(model_server: ModelServer, shared_desk: Desk) -> Iterator[Desk]:
    """Return a desk whose sessions live in the shared server."""
    desk = Desk(shared_desk.program, shared_desk.home, shared_desk.provider)
    yield desk
    desk.close()


@pytest.fixture
def own_desk(
    model_server: ModelServer, opencode_program: Program, shared_home: ProgramHome
) -> Iterator[Desk]:
    """Return a desk with a server of its own, which may be ended."""
    desk = Desk(opencode_program.path, shared_home, OpencodeProvider())
    yield desk
    desk.close()
