"""``caw interactive``."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.cli import exit_codes

if TYPE_CHECKING:
    from .conftest import User

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")


def test_without_a_terminal_it_is_a_wrong_use(user: User) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "caw_core", "interactive", "hello", "-p", "echo"],
        cwd=user.folder,
        env=user.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_codes.USAGE
    assert "there is no terminal to hand over" in done.stderr


def test_agent_without_an_interface_is_told_of(user: User) -> None:
    terminal = user.runs_shell()
    terminal.wait_for("PROMPT>")
    words = [sys.executable, "-m", "caw_core", "interactive", "hello", "-p", "echo", "--no-record"]
    terminal.type(shlex.join(words) + "; echo status $?\r")
    terminal.wait_for(f"status {exit_codes.USAGE}")
    assert "cannot start interactive" in terminal.screen
