"""The terminal for tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_testkit.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")


def test_keys_are_typed_and_the_screen_is_read(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal(["/bin/sh"], cwd=tmp_path, env=os.environ)
    terminal.type("printf 'one\\033[2Atwo\\n'; stty size; pwd\r")
    terminal.wait_for(str(tmp_path))
    assert "30 100" in terminal.screen
    assert b"\x1b[2A" in terminal.written
    assert terminal.stty().startswith("speed")


def test_program_sees_the_window_change(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal(["/bin/sh"], cwd=tmp_path, env=os.environ)
    terminal.type("trap 'stty size' WINCH; echo READY$((1 + 1))\r")
    terminal.wait_for("READY2")
    terminal.resize(20, 60)
    terminal.type("\r")
    terminal.wait_for("20 60")


def test_what_does_not_come_is_told_with_the_screen(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal(["/bin/echo", "something else"], cwd=tmp_path, env=os.environ)
    assert terminal.wait() == 0
    terminal.wait_for("something else")
    with pytest.raises(TimeoutError, match="something else"):
        terminal.wait_for("never", seconds=0.01)


def test_closing_ends_the_program(open_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = open_terminal(["/bin/sleep", "1000"], cwd=tmp_path, env=os.environ)
    terminal.close()
    assert not psutil.pid_exists(terminal.pid)
