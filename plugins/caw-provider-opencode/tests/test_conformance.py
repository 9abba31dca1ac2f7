"""opencode, the real one, against the checks that every provider must pass.

A server takes seconds to start, so all checks share one, but for those that count what is left.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance import ModelScript, ProviderConformance
from caw_testkit.faulty_program import FaultyProgram
from caw_testkit.modelserver import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


@pytest.fixture(scope="module")
def shared_faulty(
    opencode_program: Program, shared_desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyProgram]:
    program = FaultyProgram(tmp_path_factory.mktemp("wire"), opencode_program.path, http=True)
    # While this session is open, its server runs.
    keeper = shared_desk.start(options={"binary": str(program.path)})
    yield program
    keeper.close()


class OpencodeScript(ModelScript):
    """Scripts what opencode has tools of its own for."""

    def __init__(self, server: ModelServer, cwd: Path) -> None:
        super().__init__(
            server,
            shell_tool="bash",
            arguments=lambda command: {"command": command, "description": "a command"},
            form_tool="StructuredOutput",
        )
        self._cwd = cwd

    def plan(self, step: str) -> str:
        todo = {"content": step, "status": "in_progress", "priority": "high"}
        return self.use(call("todowrite", {"todos": [todo]}))

    def change_file(self, name: str, content: str) -> str:
        # All checks share one folder.
        self._cwd.joinpath(name).unlink(missing_ok=True)
        return self.use(call("write", {"filePath": str(self._cwd / name), "content": content}))


class TestOpencode(ProviderConformance):
    provider = "opencode"
    serves_http = True
    unknown_copy = (b'"message.part.delta"', b'"caw-unknown"')

    @pytest.fixture
    def script(self, model_server: ModelServer, shared_desk: Desk) -> ModelScript:
        return OpencodeScript(model_server, shared_desk.home.cwd)

    @pytest.fixture
    def agent_provider(self, shared_desk: Desk) -> object:
        return shared_desk.provider

    @pytest.fixture
    def agent_options(self, shared_desk: Desk) -> dict[str, Any]:
        return {
            "cwd": shared_desk.home.cwd,
            "env": {**dict.fromkeys(os.environ), **shared_desk.home.env},
            "options": {"binary": str(shared_desk.program)},
            "model": "testkit/priced",
        }

    @pytest.fixture
    def faulty_program(self, shared_faulty: FaultyProgram) -> FaultyProgram:
        return shared_faulty
