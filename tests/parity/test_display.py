"""What a person sees of each agent's turns, and what a logger is told of them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from caw_core import Display
from caw_testkit.modelserver import reply, text, think

if TYPE_CHECKING:
    from .conftest import Trial


class Lines:
    """A logger of the user's own."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    warn = error = info


@pytest.mark.feature("display")
def test_display_shows_thinking_tool_text_and_usage_in_order(trial: Trial) -> None:
    trial.server.script(
        reply(think("Let me see."), trial.kind.run("printf 'abc\\ndef'")),
        reply(text("first line\nsecond line")),
    )
    file = io.StringIO()
    with trial.session(display=Display("full", file=file)) as session:
        session.send("Look")
    shown = [line.partition("] ")[2] for line in file.getvalue().splitlines()]
    in_order = ["> Look", "thinking: Let me see.", "  abc", "  def", "first line", "second line"]
    assert [line for line in shown if line in in_order] == in_order
    assert re.fullmatch(r"  completed · \d+\.\d s", shown[shown.index("  def") + 1])
    assert re.match(rf"turn 0 completed · {trial.kind.name} .*\d+ tokens in, \d+ out", shown[-1])


@pytest.mark.feature("display")
def test_short_display_has_a_line_per_tool_and_the_logger_two(trial: Trial) -> None:
    trial.server.script(reply(trial.kind.run("printf abc; exit 3")), reply(text("done")))
    file, logger = io.StringIO(), Lines()
    with trial.session(display=Display("short", file=file), logger=logger) as session:
        session.send("Look")
    shown = [line.partition("] ")[2] for line in file.getvalue().splitlines()]
    [tool] = [line for line in shown if line.startswith("• ")]
    assert "printf abc; exit 3" in tool
    assert " · failed · " in tool
    assert shown.count("done") == 1
    told = [line.partition("] ")[2].partition(" ")[0] for line in logger.lines]
    order = ["user", "tool_call", "tool_error", "assistant", "turn_end"]
    assert [word for word in told if word in order] == order
