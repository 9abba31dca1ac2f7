"""The pytest fixtures of caw-testkit; pytest loads this module by its entry point."""

# Every pytest run of a project that has the plugin installed imports this module, so what only
# the fixtures need is imported by them.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program
    from caw_testkit.toolserver import HttpToolServer

_FAILED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the report of the conformance suites."""
    parser.getgroup("caw").addoption(
        "--caw-report",
        metavar="FILE",
        help="write what came of each check of the conformance suites, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and begin the report if one is asked for."""
    needs = "caw_needs(*capabilities): skipped unless the conformance suite declares them"
    config.addinivalue_line("markers", needs)
    if config.getoption("--caw-report"):
        from caw_testkit.conformance.report import ReportWriter

        path = config.invocation_params.dir / config.getoption("--caw-report")
        config.pluginmanager.register(ReportWriter(path), "caw_report")
    for name in ("codex", "claude", "opencode"):
        config.addinivalue_line("markers", f"real_{name}: starts the real program {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures whether the test itself failed."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture
def model_server(request: pytest.FixtureRequest) -> Iterator[ModelServer]:
    """Run a scripted model server, and verify it after the test.

    When the test failed by itself, what verifying finds is added to its report as a section,
    not as a second error.
    """
    from caw_testkit.modelserver import ModelServer

    with ModelServer() as server:
        yield server
    if not request.node.stash.get(_FAILED, False):
        server.verify()
        return
    try:
        server.verify()
    except AssertionError as error:
        request.node.add_report_section("teardown", "model server", str(error))


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., Any]]:
    """Return what opens a `caw_testkit.terminal.Terminal`; all are closed after the test."""
    if sys.platform == "win32":
        pytest.skip("there are no such terminals on Windows")
    assert sys.platform != "win32"  # noqa: S101 - tells the type checker that the rest is POSIX
    from contextlib import ExitStack

    from caw_testkit.terminal import Terminal

    with ExitStack() as terminals:

        def open_one(*args: Any, **kwargs: Any) -> Terminal:
            return terminals.enter_context(Terminal(*args, **kwargs))

        yield open_one


@pytest.fixture
def http_tools() -> Iterator[HttpToolServer]:
    """Run a server of tools over HTTP."""
    from caw_testkit.toolserver import HttpToolServer

    with HttpToolServer() as server:
        yield server


@pytest.fixture(scope="session")
def codex_program() -> Program:
    """Return the real codex, installed when missing; failing to install it is an error."""
    from caw_testkit.programs import installed_program

    return installed_program("codex")


@pytest.fixture(scope="session")
def claude_program() -> Program:
    """Return the real claude, installed when missing; failing to install it is an error."""
    from caw_testkit.programs import installed_program

    return installed_program("claude")


@pytest.fixture(scope="session")
def opencode_program() -> Program:
    """Return the real opencode, installed when missing; failing to install it is an error."""
    from caw_testkit.programs import installed_program

    return installed_program("opencode")


@pytest.fixture
def codex_home(tmp_path: Path, model_server: ModelServer) -> ProgramHome:
    """Make a home for codex, wired to ``model_server``."""
    from caw_testkit.homes import codex_home

    return codex_home(tmp_path, model_server)


@pytest.fixture
def claude_home(tmp_path: Path, model_server: ModelServer) -> ProgramHome:
    """Make a home for claude, wired to ``model_server``."""
    from caw_testkit.homes import claude_home

    return claude_home(tmp_path, model_server)


@pytest.fixture
def opencode_home(tmp_path: Path, model_server: ModelServer) -> ProgramHome:
    """Make a home for opencode, wired to ``model_server``."""
    from caw_testkit.homes import opencode_home

    return opencode_home(tmp_path, model_server)


@pytest.fixture
def codex_env(codex_home: ProgramHome) -> dict[str, str]:
    """Return the whole environment to start codex with."""
    return codex_home.env


@pytest.fixture
def claude_env(claude_home: ProgramHome) -> dict[str, str]:
    """Return the whole environment to start claude with."""
    return claude_home.env


@pytest.fixture
def opencode_env(opencode_home: ProgramHome) -> dict[str, str]:
    """Return the whole environment to start opencode with."""
    return opencode_home.env
