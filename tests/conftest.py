"""A provider and a storage that tests write the behaviour of, reached by the public plugin path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import (
    Agent,
    PluginRegistry,
    Prompt,
    ProviderInfo,
    ResumeRequest,
    StartRequest,
    hookimpl,
    set_provider_order,
)
from caw_core.events import Event, TextDelta
from caw_core.provider import NATIVE
from caw_core.trajectory import SessionInfo, Trajectory, Turn

if TYPE_CHECKING:
    from .band import Band

Answer = Callable[["PlayedSession", str], Iterator[Event]]

WAIT = 20.0
"""Seconds after which a test that waits for something gives up; nothing is expected to need it."""


def say_hello(_: PlayedSession, text: str) -> Iterator[Event]:
    """Answer with the prompt, at once."""
    yield TextDelta(text=f"hello {text}")


class PlayedSession:
    """A session whose turns are whatever the test's generator yields."""

    def __init__(self, request: StartRequest, answer: Answer, key: str | None = None) -> None:
        self.request = request
        self.resume_key = key
        self.prompts: list[str] = []
        self.taken_up: Prompt | None = None
        self.interrupted = threading.Event()
        self.closed = threading.Event()
        self._answer = answer

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Yield what the test wrote."""
        self.resume_key = self.resume_key or f"key of {self.request.session_id}"
        self.prompts.append(prompt.text)
        self.taken_up = prompt
        yield from self._answer(self, prompt.text)

    def begin_turn(self, events: Iterator[Event], *, taken_up: bool = True) -> None:
        """Begin a turn without a prompt, before or after the last one was taken up."""
        after = self.taken_up if taken_up else None
        self.request.agent_turns.begin(events, cause="a task ended", after=after)

    def interrupt(self) -> None:
        """Note it."""
        self.interrupted.set()

    def close(self) -> None:
        """Note it."""
        self.closed.set()


class PlayedProvider:
    """Opens `PlayedSession`s and keeps them for the test to look at."""

    caw_api = "1.0"

    def __init__(self, answer: Answer = say_hello, **info: Any) -> None:
        self.info = ProviderInfo(**{"name": "played", "auto": "never"} | info)
        self.answer = answer
        self.sessions: list[PlayedSession] = []
        self.on_open: Callable[[PlayedSession], None] = lambda _: None

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return self.info

    @hookimpl
    def start_session(self, request: StartRequest) -> PlayedSession:
        """Open a session."""
        return self._open(PlayedSession(request, self.answer))

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> PlayedSession:
        """Open a session with the key."""
        return self._open(PlayedSession(request, self.answer, request.resume_key))

    def _open(self, session: PlayedSession) -> PlayedSession:
        self.sessions.append(session)
        self.on_open(session)
        return session


class Stage:
    """Makes agents of played providers, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = PluginRegistry(autoload=False)
        self.provider = PlayedProvider()

    def agent(self, answer: Answer = say_hello, *, info: Any = None, **options: Any) -> Agent:
        """Make an agent that answers as *answer* does."""
        facts = {"options": {"system_prompt": NATIVE, "cwd": NATIVE}} | (info or {})
        self.provider = PlayedProvider(answer, **facts)
        self.registry.register_provider("played", self.provider, replace=True)
        return Agent("played", registry=self.registry, **options)

    @property
    def session(self) -> PlayedSession:
        """The provider's newest session."""
        return self.provider.sessions[-1]


class MemoryStorage:
    """Keeps records in a dict; refuses while `failing` is set."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.failing: Exception | None = None
        self.calls: list[tuple[int, str, int]] = []
        self.heads: dict[str, SessionInfo] = {}
        self.turns: dict[str, dict[int, Turn]] = {}

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int) -> None:
        """Keep it."""
        self.calls.append((turn.index, turn.status, attempt))
        if self.failing:
            raise self.failing
        self.turns.setdefault(session.session_id, {})[turn.index] = turn

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Keep it."""
        if self.failing:
            raise self.failing
        self.heads[session.session_id] = session

    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        """Give it back."""
        head = self.heads.get(session_id)
        if head is None:
            return None
        turns = self.turns.get(session_id, {})
        return Trajectory.of(head, tuple(turns[index] for index in sorted(turns)))


@pytest.fixture
def stage() -> Stage:
    """Return a stage with nothing on it."""
    return Stage()


@pytest.fixture
def memory() -> MemoryStorage:
    """Return an empty storage."""
    return MemoryStorage()


@pytest.fixture
def band(monkeypatch: pytest.MonkeyPatch) -> Iterator[Band]:
    """Return a band without players, where nothing names a provider or a model."""
    from .band import Band

    monkeypatch.delenv("CAW_PROVIDER", raising=False)
    monkeypatch.delenv("CAW_MODEL", raising=False)
    yield Band()
    set_provider_order(None)
