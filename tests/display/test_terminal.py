"""Live on a terminal: what moves, what stays, and what is left when the program ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from caw_testkit.terminal import Terminal

pytest.importorskip("pty", reason="a terminal in tests is POSIX")

Host = Callable[..., "Terminal"]
Gate = Callable[[str], None]

END = "the program goes on"


def lines(screen: str) -> list[str]:
    """Return the lines of a screen; times are 0, and spinners stand still."""
    still = re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "⠋", screen)
    return [re.sub(r"\d+(\.\d)? s\b", "0 s", line) for line in still.splitlines()]


def test_text_and_running_tool_are_seen_before_they_end(host: Host, gate: Gate) -> None:
    terminal = host("short", "say half a; wait one; say  line\\n; tool shell; wait two; done shell")
    moving = ["half a", "⠋ steps works · 0 s"]
    terminal.wait_until(lambda screen: lines(screen)[-2:] == moving)
    gate("one")
    moving = ["half a line", "• shell run shell · 0 s", "⠋ steps works · 0 s"]
    terminal.wait_until(lambda screen: lines(screen)[-3:] == moving)
    gate("two")
    shown = lines(terminal.wait_for(END))
    assert shown[1:] == [
        "half a line",
        "• shell run shell · 0 s · the output",
        "turn 0 completed · steps · 0 s",
        END,
    ]


def test_tokens_and_cost_so_far_are_seen_while_the_turn_runs(host: Host, gate: Gate) -> None:
    terminal = host("short", "used 1000; wait one; used 234; wait two")
    terminal.wait_for("1,000 tokens in, 0 out · $0.5000")
    gate("one")
    terminal.wait_for("1,234 tokens in, 0 out · $1.0000")
    gate("two")
    terminal.wait_for(END)


def test_sessions_at_once_have_labels_and_a_row_each(host: Host, gate: Gate) -> None:
    terminal = host("short", "say one\\n; wait one; say uno\\n", "say two\\n; wait two; say dos\\n")
    terminal.wait_until(
        lambda screen: (
            {"[steps session-0] ⠋ steps works · 0 s", "[steps session-1] ⠋ steps works · 0 s"}
            <= set(lines(screen))
        )
    )
    gate("two")
    gate("one")
    shown = lines(terminal.wait_for(END))
    for number, words in enumerate((("one", "uno"), ("two", "dos"))):
        label = f"[steps session-{number}] "
        own = [line.removeprefix(label) for line in shown if line.startswith(label)]
        assert own[-2:] == [words[1], "turn 0 completed · steps · 0 s"]
        assert f"{label}{words[0]}" in shown or words[0] in shown
    assert not [line for line in shown if "works" in line]


@pytest.mark.parametrize("columns", [40, 160])
def test_another_window_size_leaves_no_remains(host: Host, gate: Gate, columns: int) -> None:
    terminal = host("short", "say first\\n; wait one; say last\\n; wait two", rows=24, columns=80)
    terminal.wait_until(lambda screen: "\nfirst\n" in screen and "steps works" in screen)
    terminal.resize(24, columns)
    gate("one")
    terminal.wait_for("last")
    gate("two")
    shown = lines(terminal.wait_for(END))
    assert shown[1:] == ["first", "last", "turn 0 completed · steps · 0 s", END]


def test_narrow_window_shows_what_fits(host: Host, gate: Gate) -> None:
    long = "a command that is far too long for this window"
    terminal = host("short", f"tool {long}; wait one", rows=4, columns=24)
    terminal.wait_until(lambda screen: "…\n" in screen and "steps works" in screen)
    gate("one")
    terminal.wait_for("goes on")


def test_ctrl_c_ends_the_turn_and_leaves_the_terminal_as_it_was(host: Host) -> None:
    terminal = host("short", "say half; wait one")
    before = terminal.stty()
    terminal.wait_for("half")
    terminal.type("\x03")
    assert terminal.wait() != 0
    screen = terminal.wait_for("KeyboardInterrupt")
    assert "turn 0 interrupted · cancelled" in screen
    assert "works" not in screen
    assert terminal.stty() == before


def test_program_that_is_killed_leaves_the_cursor_visible(host: Host) -> None:
    terminal = host("short", "say half; wait one")
    terminal.wait_for("steps works")
    terminal.close()
    assert b"\x1b[?25l" not in terminal.written


def test_agent_cannot_send_escape_sequences_to_the_terminal(host: Host, gate: Gate) -> None:
    hostile = "say \\e]0;owned\\e\\\\ \\e[2J; wait one; say \\e[31mred; tool \\e]52;c;x; wait two"
    terminal = host("full", hostile)
    terminal.wait_for("steps works")
    gate("one")
    terminal.wait_for("red")
    gate("two")
    terminal.wait_for(END)
    for sequence in (b"\x1b]", b"\x1b[2J", b"\x1b[31m"):
        assert sequence not in terminal.written


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_terminal_that_can_do_nothing_gets_plain_lines(host: Host, gate: Gate, term: str) -> None:
    terminal = host("short", "say text\\n; wait one", env={"HOST_TERM": term})
    gate("one")
    screen = terminal.wait_for(END)
    assert "[steps session-0] text" in screen
    assert b"\x1b" not in terminal.written


def test_no_color_is_heeded(host: Host, gate: Gate) -> None:
    terminal = host("short", "tool shell; wait one; done shell", env={"NO_COLOR": "1"})
    terminal.wait_for("• shell")
    gate("one")
    terminal.wait_for(END)
    assert not re.search(rb"\x1b\[(?:\d+;)*[34]\d", terminal.written)


def test_result_is_all_that_stays_in_that_mode(host: Host, gate: Gate) -> None:
    terminal = host("result", "say first; tool shell; done shell; wait one; say the result")
    terminal.wait_for("steps works")
    gate("one")
    assert terminal.wait_for(END).splitlines() == ["the result", END]


def test_nothing_is_drawn_while_somebody_has_the_terminal_to_himself(
    host: Host, gate: Gate
) -> None:
    terminal = host("short", "say before\\n; wait one; alone two; say after\\n; wait three")
    terminal.wait_until(lambda screen: "\nbefore\n" in screen and "steps works" in screen)
    gate("one")
    screen = terminal.wait_for("a line of one's own")
    assert "works" not in screen
    gate("two")
    terminal.wait_for("after")
    gate("three")
    shown = lines(terminal.wait_for(END))
    own = ["before", "a line of one's own", "after", "turn 0 completed · steps · 0 s", END]
    assert shown[1:] == own
