"""The example of interactive mode runs unchanged on a real terminal, with the real interface."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from caw_testkit.modelserver import echo

from .stage import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_testkit.modelserver import ModelServer
    from caw_testkit.terminal import Terminal

    from .stage import Stage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")


def on_terminal(stage: Stage, open_terminal: Callable[..., Terminal], *arguments: str) -> Terminal:
    """Start the example on a terminal."""
    script = stage.folder / "interactive.py"
    script.write_text(text_of("interactive"), "utf-8")
    return open_terminal([sys.executable, str(script), *arguments], cwd=stage.cwd, env=stage.env)


def test_interactive_example_hands_the_terminal_over(
    any_stage: Stage, model_server: ModelServer, open_terminal: Callable[..., Terminal]
) -> None:
    model_server.respond(echo)
    terminal = on_terminal(any_stage, open_terminal)
    terminal.wait_for("echo: List the directories")
    if any_stage.provider == "claude_code":
        terminal.type("/exit")
        terminal.wait_for("\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT} /exit")
        terminal.type("\r")
    else:
        terminal.type("\x04")
    assert terminal.wait() == 0
    said = terminal.written.decode(errors="replace")
    assert "Exit code: 0" in said
    assert "Session ID: " in said
    assert re.search(r"Captured [1-9]\d* chars", said)


@pytest.mark.real_claude
def test_interactive_example_lets_the_user_pick_a_provider_or_not(
    stage: Stage, open_terminal: Callable[..., Terminal]
) -> None:
    terminal = on_terminal(stage, open_terminal, "pick")
    terminal.wait_for("claude")
    terminal.type("q")
    assert terminal.wait() == 0
    assert "Exit code: 130" in terminal.written.decode(errors="replace")
