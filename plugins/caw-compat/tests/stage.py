"""Runs scripts of users, each in a home of its own, with the real programs and a model server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from caw_testkit.homes import claude_home, codex_home, opencode_home
from caw_testkit.modelserver import call
from caw_testkit.programs import installed_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer

EXAMPLES = Path(__file__).parent / "examples"
HOMES: dict[str, Callable[[Path, ModelServer], ProgramHome]] = {
    "claude": claude_home,
    "codex": codex_home,
    "opencode": opencode_home,
}
PROVIDERS = {"claude": "claude_code", "codex": "codex", "opencode": "opencode"}

COMMANDS = {
    "claude": call("Bash", {"command": "echo hi"}),
    "codex": call("exec_command", {"cmd": "echo hi"}),
    "opencode": call("bash", {"command": "echo hi", "description": "say hi"}),
}
"""What a model says to have a command run."""

RUN_AWAITING = """
import ast, asyncio, sys

code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

async def main():
    await eval(code, {"__name__": "__main__"})

asyncio.run(main())
"""
"""Runs a file that awaits outside of functions, as ``python -m asyncio`` and notebooks do."""


class Stage:
    """A user's machine: one program on PATH, and a folder to work in.

    Args:
        folder: where to make it.
        server: what the program's model is.
        program: ``claude``, ``codex`` or ``opencode``.
    """

    def __init__(self, folder: Path, server: ModelServer, program: str = "claude") -> None:
        self.folder = folder
        self.provider = PROVIDERS[program]
        home = HOMES[program](folder, server)
        self.cwd = home.cwd
        commands = folder / "bin"
        commands.mkdir()
        command = f"{program}.exe" if sys.platform == "win32" else program
        (commands / command).symlink_to(installed_program(program).path)
        search = f"{commands}{os.pathsep}{home.env['PATH']}"
        self.env = {**home.env, "PATH": search, "CAW_HOME": str(folder / "caw"), "CAW_LOG": "off"}
        self.env["CAW_PROVIDER"] = self.provider

    def run(self, example: str, *arguments: str, python: str = sys.executable) -> str:
        """Run an example's file as a script, and return what it printed."""
        return self.run_text(text_of(example), *arguments, python=python)

    def run_text(self, text: str, *arguments: str, python: str = sys.executable) -> str:
        """Run a script, and return what it printed; it must succeed and print no warnings."""
        script = self.folder / "script.py"
        script.write_text(text, "utf-8")
        command = [python, "-W", "error::DeprecationWarning:__main__", str(script), *arguments]
        done = self._run(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run_awaiting(self, text: str) -> str:
        """Do as `run_text` with a script that awaits outside of functions."""
        script = self.folder / "awaiting.py"
        script.write_text(text, "utf-8")
        return self.run_text(RUN_AWAITING, str(script))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def text_of(example: str) -> str:
    """Return an example, letter by letter."""
    return (EXAMPLES / f"{example}.py.txt").read_text("utf-8")
