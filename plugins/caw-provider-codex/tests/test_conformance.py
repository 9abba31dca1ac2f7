"""codex, the real one, against the checks that every provider must pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance import ModelScript, ProviderConformance
from caw_testkit.modelserver import call

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_codex


class CodexScript(ModelScript):
    """Scripts what codex has tools of its own for."""

    def plan(self, step: str) -> str:
        plan = {"plan": [{"step": step, "status": "in_progress"}]}
        return self.use(call("update_plan", plan))

    def change_file(self, name: str, content: str) -> str:
        patch = f"*** Begin Patch\n*** Add File: {name}\n+{content}*** End Patch"
        return self.use(call("apply_patch", patch))


class TestCodex(ProviderConformance):
    provider = "codex"

    @pytest.fixture
    def script(self, model_server: ModelServer) -> ModelScript:
        return CodexScript(
            model_server,
            shell_tool="exec_command",
            arguments=lambda command: {"cmd": command, "yield_time_ms": 60_000},
        )

    @pytest.fixture
    def real_program(self, codex_program: Program) -> Path:
        return codex_program.path

    @pytest.fixture
    def agent_options(self, codex_home: ProgramHome, real_program: Path) -> dict[str, Any]:
        return {
            "cwd": codex_home.cwd,
            "env": {**dict.fromkeys(os.environ), **codex_home.env},
            "options": {"binary": str(real_program)},
        }
