"""The command line on a real terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Caw

CTRL_C = "\x03"
CTRL_D = "\x04"


def test_ctrl_c_interrupts_a_run_and_tells_how_to_go_on(caw: Caw) -> None:
    terminal = caw.terminal("run", "-p", "echo", "early\n!slow 600")
    terminal.read_until("echo: early")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "interrupted" in terminal.seen
    assert "resume with: caw resume " in terminal.seen
    assert "Traceback" not in terminal.seen


def test_an_answer_cannot_send_escape_sequences_to_the_terminal(caw: Caw) -> None:
    terminal = caw.terminal("run", "-p", "echo", "safe \x1b]0;owned\x07 text")
    assert terminal.wait() == 0
    assert "safe" in terminal.seen
    assert "\x1b]0;" not in terminal.seen


def test_a_chat_is_one_session(caw: Caw) -> None:
    terminal = caw.terminal("chat", "-p", "echo")
    terminal.read_until("> ")
    terminal.type("hello\n")
    terminal.read_until("echo: hello")
    terminal.read_until("> ")
    terminal.type("!history\n")
    terminal.read_until("hello\r\n!history")
    terminal.read_until("> ")
    terminal.type("/exit\n")
    assert terminal.wait() == 0
    assert "resume with: caw resume " in terminal.seen
    (record,) = caw("show", "last", "--json").lines
    assert [turn["input"] for turn in record["turns"]] == ["hello", "!history"]


def test_ctrl_c_ends_the_turn_and_not_the_chat(caw: Caw) -> None:
    terminal = caw.terminal("chat", "-p", "echo")
    terminal.read_until("> ")
    terminal.type("!slow 600\n")
    terminal.read_until("echo works")
    terminal.type(CTRL_C)
    terminal.read_until("interrupted")
    terminal.read_until("> ")
    terminal.type("still there\n")
    terminal.read_until("echo: still there")
    terminal.read_until("> ")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0


def test_ctrl_c_at_the_prompt_ends_the_chat(caw: Caw) -> None:
    terminal = caw.terminal("chat", "-p", "echo")
    terminal.read_until("> ")
    terminal.type("unfinished")
    terminal.read_until("unfinished")
    terminal.type(CTRL_C)
    # Python's line editor overlooks a signal that comes just before it waits, until the next key.
    for _ in range(20):
        if terminal.has_ended(within=1):
            break
        terminal.type(f"\n{CTRL_C}")
    assert terminal.wait() == 0
    assert "echo: unfinished" not in terminal.seen
    assert "Traceback" not in terminal.seen


def test_a_failed_turn_does_not_end_the_chat(caw: Caw) -> None:
    terminal = caw.terminal("chat", "-p", "echo")
    terminal.read_until("> ")
    terminal.type("!fail rate\n")
    terminal.read_until("caw: the prompt asked for a failure")
    terminal.read_until("> ")
    terminal.type("go on\n")
    terminal.read_until("echo: go on")
    terminal.read_until("> ")
    terminal.type("/exit\n")
    assert terminal.wait() == 0


def test_slash_words_are_not_sent_and_two_slashes_send_one(caw: Caw) -> None:
    result = caw("chat", "-p", "echo", stdin="/compcat\n//review this\n/help\n/exit\nnever\n")
    assert (result.code, result.out) == (0, "echo: /review this\n")
    assert "there is no /compcat; to send it, write //compcat" in result.err
    assert "Ctrl-D" in result.err


def test_a_chat_from_a_pipe_ends_with_the_first_failure(caw: Caw) -> None:
    result = caw("chat", "-p", "echo", stdin="one\n!fail rate\nnever\n")
    assert (result.code, result.out) == (4, "echo: one\n")


def test_a_chat_can_go_on_with_an_earlier_session(caw: Caw) -> None:
    caw("run", "-p", "echo", "before")
    result = caw("chat", "--resume", "last", stdin="!history\n")
    assert result.out == "before\n!history\n"


def test_a_list_on_a_terminal_has_short_ids_that_resume(caw: Caw) -> None:
    session_id = str(caw("run", "--json", "-p", "echo", "hi").lines[-1]["session_id"])
    terminal = caw.terminal("sessions")
    assert terminal.wait() == 0
    assert session_id[:8] in terminal.seen
    assert session_id not in terminal.seen
    assert caw("resume", session_id[:8], "again").code == 0
