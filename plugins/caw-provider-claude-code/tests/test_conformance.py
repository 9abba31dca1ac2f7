"""claude, the real one, against the checks that every provider must pass."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance import ModelScript, ProviderConformance
from caw_testkit.modelserver import call, reply
from caw_testkit.modelserver import text as say

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_claude


class ClaudeScript(ModelScript):
    """Scripts what claude has tools of its own for."""

    leave_keys = "\x04\x04"

    def __init__(self, server: ModelServer, home: ProgramHome) -> None:
        super().__init__(
            server,
            shell_tool="Bash",
            arguments=lambda command: {"command": command, "description": "a command"},
            form_tool="StructuredOutput",
        )
        self._cwd = home.cwd
        self._home = home

    def wait_written(self, resume_key: str) -> None:
        # It writes its transcript behind the turns.
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for transcript in self._home.path.rglob(f"{resume_key}.jsonl"):
                if '"assistant"' in transcript.read_text("utf-8"):
                    return
            time.sleep(0.05)

    def plan(self, step: str) -> str:
        return self.use(call("TaskCreate", {"subject": step, "description": "d"}))

    def change_file(self, name: str, content: str) -> str:
        return self.use(call("Write", {"file_path": str(self._cwd / name), "content": content}))

    def begin_turn(self, text: str) -> str:
        command = "while ! test -e set-off; do sleep 0.02; done"
        background = call("Bash", {"command": command, "run_in_background": True})
        self.server.script(reply(background), reply(say("started")), reply(say(text)))
        return "Please start a task."

    def set_off(self) -> None:
        (self._cwd / "set-off").touch()


class TestClaude(ProviderConformance):
    provider = "claude_code"

    @pytest.fixture
    def script(self, model_server: ModelServer, claude_home: ProgramHome) -> ModelScript:
        return ClaudeScript(model_server, claude_home)

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
