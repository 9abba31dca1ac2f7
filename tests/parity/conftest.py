"""What the scenarios share: each agent's real program, wired to one scripted model server.

An opencode server takes seconds to start, so the homes, and one opencode server, serve all tests
of a run; each test has a folder to work in of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from feature_table import FEATURES

from caw_core import Agent, Deadlines, PluginRegistry
from caw_testkit.modelserver import ModelServer

from .agents import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core import Session
    from caw_testkit.homes import ProgramHome
    from caw_testkit.programs import Program

    from .agents import AgentKind

WAIT = 60.0
"""Seconds after which a test that waits for something gives up; nothing is expected to need it."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark that says which row of docs/reference/features.md a test proves."""
    config.addinivalue_line("markers", "feature(name): proves that row of the table of features")
    config.addinivalue_line(
        "markers", "fault(agent, reason): fails with that agent, which is known"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the faults that are known, and nothing else, to make tests fail."""
    for item in items:
        for mark in item.iter_markers("fault"):
            agent, reason = mark.args
            if agent_of(item) == agent:
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


def agent_of(item: pytest.Item) -> str:
    """Return the name of the agent with which a test runs; ``""`` for none."""
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("kept") if callspec else None
    return kind.name if kind else ""


class Trial:
    """One agent to try: opens sessions with its real program in a folder of the test's own."""

    def __init__(
        self,
        kind: AgentKind,
        program: Path,
        home: ProgramHome,
        registry: PluginRegistry,
        server: ModelServer,
    ) -> None:
        self.kind = kind
        self.program = program
        self.home = home
        self.registry = registry
        self.server = server
        self.cwd = home.cwd

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Return the arguments of `Agent`, with *changes* over them."""
        env = {**dict.fromkeys(os.environ), **self.home.env, **changes.pop("env", {})}
        own = {"binary": str(self.program), **self.kind.options, **changes.pop("options", {})}
        return {
            "cwd": self.cwd,
            "env": env,
            "options": own,
            "permissions": "full",
            "deadlines": Deadlines(start=WAIT, stop=5),
            **changes,
        }

    def agent(self, **changes: Any) -> Agent:
        """Return an agent; all of one run share their provider, as one agent's sessions do."""
        return Agent(self.kind.name, registry=self.registry, **self.settings(**changes))

    @contextmanager
    def session(self, **changes: Any) -> Iterator[Session]:
        """Open a session of a new agent for a while."""
        with self.agent(**changes).start_session() as session:
            yield session

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the agent's program that this one has started."""
        found = psutil.Process().children(recursive=True)
        return [process for process in found if runs(process, self.program)]


def runs(process: psutil.Process, program: Path) -> bool:
    """Say whether a process is *program*."""
    try:
        return Path(process.exe()).samefile(program)
    except (psutil.Error, OSError):
        return False


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something that tells of itself in no other way."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="session", autouse=True)
def caw_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what caw itself writes out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAW_HOME", str(tmp_path_factory.mktemp("caw")))
        yield


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ModelServer]:
    """Run one model server for all agents."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def model_server(shared_server: ModelServer) -> Iterator[ModelServer]:
    """Return the server with nothing scripted, and verify it after the test."""
    shared_server.clear()
    yield shared_server
    shared_server.verify()


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(kind, marks=getattr(pytest.mark, f"real_{kind.program}")) for kind in KINDS
    ],
    ids=lambda kind: kind.name,
)
def kept(
    request: pytest.FixtureRequest,
    shared_server: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trial]:
    """Return each agent in turn, in a home that lasts for all tests."""
    kind: AgentKind = request.param
    program: Program = request.getfixturevalue(f"{kind.program}_program")
    home = kind.home(tmp_path_factory.mktemp(kind.program), shared_server)
    registry = PluginRegistry()
    provider = registry.load_provider(kind.name)
    registry.register_provider(kind.name, provider, replace=True)
    trial = Trial(kind, program.path, home, registry, shared_server)
    if kind.name != "opencode":
        yield trial
        return
    # While this session is open, the server runs.
    with trial.session():
        yield trial


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, kept: Trial, model_server: ModelServer, tmp_path: Path
) -> Trial:
    """Return each agent in turn, in an empty folder; skip what its provider does not claim."""
    provider = kept.registry.load_provider(kept.kind.name)
    proven = {mark.args[0] for mark in request.node.iter_markers("feature")}
    for feature in FEATURES:
        if feature.name in proven and feature.support(provider).support == "unsupported":
            pytest.skip(f"{kept.kind.name} does not claim {feature.name!r}")
    trial = Trial(kept.kind, kept.program, kept.home, kept.registry, model_server)
    trial.cwd = tmp_path / "work"
    trial.cwd.mkdir()
    return trial


@pytest.fixture
def outside() -> Iterator[Path]:
    """Return a folder where no permission but ``full`` lets an agent write."""
    # codex's sandbox lets commands write below /tmp, where pytest's folders are.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)
