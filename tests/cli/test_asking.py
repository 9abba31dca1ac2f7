"""Asking the person at the terminal what the agent may do."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Caw

CTRL_C = "\x03"
CTRL_D = "\x04"
QUESTION = "allow it? [y/N/always] "
ASK = ("run", "-p", "echo", "--permissions", "ask")


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_lets_the_agent_do_it(caw: Caw, answer: str) -> None:
    terminal = caw.terminal(*ASK, '!ask write {"path": "a.txt"}\nafter')
    terminal.read_until("? the agent wants to use write (the prompt told the echo to ask)")
    terminal.read_until("    a.txt")
    terminal.read_until(QUESTION)
    terminal.type(answer)
    assert terminal.wait() == 0
    assert "  permitted" in terminal.seen
    assert "not permitted" not in terminal.seen
    assert "echo: after" in terminal.seen


@pytest.mark.parametrize("answer", ["\n", "n\n", "what?\n", CTRL_D])
def test_anything_else_is_no(caw: Caw, answer: str) -> None:
    terminal = caw.terminal(*ASK, "!ask write\nafter")
    terminal.read_until(QUESTION)
    terminal.type(answer)
    assert terminal.wait() == 0
    assert "not permitted: the user said no" in terminal.seen
    assert "(declined)" in terminal.seen
    assert "echo: after" in terminal.seen


def test_always_is_asked_once(caw: Caw) -> None:
    terminal = caw.terminal(*ASK, "!ask write\n!ask write\nafter")
    terminal.read_until(QUESTION)
    terminal.type("always\n")
    assert terminal.wait() == 0
    assert terminal.seen.count(QUESTION) == 1
    assert "permitted for the whole session" in terminal.seen
    assert "not permitted" not in terminal.seen


def test_quiet_does_not_hide_the_question(caw: Caw) -> None:
    terminal = caw.terminal(*ASK, "-q", "!ask write\nafter")
    terminal.read_until("? the agent wants to use write")
    terminal.read_until(QUESTION)
    terminal.type("y\n")
    assert terminal.wait() == 0


def test_question_shows_the_whole_command_and_obeys_none_of_it(caw: Caw) -> None:
    arguments = json.dumps({"command": "x" * 500 + "\x1b]0;owned\x07 && tail"})
    terminal = caw.terminal(*ASK, f"!ask shell {arguments}")
    terminal.read_until("? the agent wants")
    terminal.read_until("&& tail")
    terminal.read_until(QUESTION)
    terminal.type("\n")
    assert terminal.wait() == 0
    assert "\x1b]0;" not in terminal.seen


def test_ctrl_c_at_the_question_interrupts_the_turn(caw: Caw) -> None:
    terminal = caw.terminal(*ASK, "!ask write\nafter")
    terminal.read_until(QUESTION)
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "Traceback" not in terminal.seen
    (record,) = caw("show", "last", "--json").lines
    assert record["turns"][0]["status"] == "interrupted"


def test_question_of_the_agents_is_told_that_nobody_can_answer_it_here(caw: Caw) -> None:
    terminal = caw.terminal(*ASK, '!ask ask_user {"question": "Which?"}\nafter')
    assert terminal.wait() == 0
    assert "questions cannot be answered on this command line" in terminal.seen
    assert QUESTION not in terminal.seen


def test_chat_asks_in_each_of_its_turns(caw: Caw) -> None:
    terminal = caw.terminal("chat", "-p", "echo", "--permissions", "ask")
    for answer, told in (("y\n", "permitted"), ("\n", "not permitted")):
        terminal.read_until("> ")
        terminal.type("!ask write\n")
        terminal.read_until(QUESTION)
        terminal.type(answer)
        terminal.read_until(told)
    terminal.read_until("> ")
    terminal.type("/exit\n")
    assert terminal.wait() == 0


@pytest.mark.parametrize("form", ["--json", "--stream"])
def test_without_a_terminal_the_answer_is_no_and_that_is_told(caw: Caw, form: str) -> None:
    result = caw(*ASK, form, "!ask write\nafter")
    assert result.code == 0
    said = result.out if form == "--json" else result.err
    assert "nobody is there to give permission" in said
    assert "permission_asked" in said if form == "--json" else "• asks for write" in said


def test_wait_for_a_limit_is_told_on_a_terminal(caw: Caw) -> None:
    terminal = caw.terminal("run", "-p", "echo", "!fail usage 2130-01-01T12:00:00+00:00")
    terminal.read_until("waits until 2130-01-01")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130


def test_wait_for_a_limit_is_told_in_a_pipe(caw: Caw) -> None:
    process = caw.start("run", "-q", "-p", "echo", "!fail usage 2130-01-01T12:00:00+00:00")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("waits until 2130-01-01")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
