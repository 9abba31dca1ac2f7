"""claude, the real one, against the checks that every provider must pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance import ModelScript, ProviderConformance

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_claude


class TestClaude(ProviderConformance):
    provider = "claude_code"

    @pytest.fixture
    def script(self, model_server: ModelServer) -> ModelScript:
        return ModelScript(
            model_server,
            shell_tool="Bash",
            arguments=lambda command: {"command": command, "description": "a command"},
            form_tool="StructuredOutput",
        )

    @pytest.fixture
    def real_program(self, claude_program: Program) -> Path:
        return claude_program.path

    @pytest.fixture
    def agent_options(self, claude_home: ProgramHome, real_program: Path) -> dict[str, Any]:
        return {
            "cwd": claude_home.cwd,
            "env": {**dict.fromkeys(os.environ), **claude_home.env},
            "options": {"binary": str(real_program)},
        }
