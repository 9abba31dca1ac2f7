"""The menu of installed agents, key by key."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import is_gone, wait_until

if TYPE_CHECKING:
    from caw_testkit.terminal import Terminal

    from .conftest import User

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")

UP, DOWN, ENTER, ESCAPE, CTRL_C = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x03"


def opened(user: User, **providers: bool) -> Terminal:
    env = {"CAW_PLUGIN_AUTOLOAD": "0"}
    user.env.update(env)
    terminal = user.runs({"providers": providers, "call": {"select_provider": True}})
    terminal.wait_for("Which agent?")
    return terminal


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ([ENTER], "alpha"),
        ([DOWN, ENTER], "beta"),
        ([DOWN, DOWN, UP, ENTER], "beta"),
        (["j", "k", ENTER], "alpha"),
    ],
)
def test_keys_move_and_enter_starts_what_was_chosen(
    user: User, keys: list[str], chosen: str
) -> None:
    terminal = opened(user, alpha=True, beta=True, delta=True)
    for key in keys:
        terminal.type(key)
    terminal.wait_for(f"this is {chosen}")
    assert user.settings_are_back()
    assert (user.result["exit_code"], user.result["provider"]) == (0, chosen)


@pytest.mark.parametrize("key", ["q", "Q", ESCAPE])
def test_who_cancels_gets_130_and_nothing_is_started(user: User, key: str) -> None:
    terminal = opened(user, alpha=True, beta=True)
    terminal.type(DOWN)
    terminal.type(key)
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result == {
        "exit_code": 130,
        "output": "",
        "provider": "",
        "session_id": None,
        "resume_handle": None,
    }
    assert "this is" not in terminal.screen


def test_ctrl_c_in_the_menu_is_that_of_the_program(user: User) -> None:
    terminal = opened(user, alpha=True)
    terminal.type(CTRL_C)
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["error"] == "KeyboardInterrupt"


def test_agents_that_are_not_there_are_left_out(user: User) -> None:
    terminal = opened(user, alpha=False, beta=True)
    assert "alpha" not in terminal.screen
    terminal.type(ENTER)
    terminal.wait_for("this is beta")


def test_without_any_agent_the_error_says_how_to_get_one(user: User) -> None:
    user.env["CAW_PLUGIN_AUTOLOAD"] = "0"
    terminal = user.runs({"providers": {"alpha": False}, "call": {"select_provider": True}})
    terminal.wait_for("SHELL AGAIN")
    assert user.result["error"] == "NotReadyError"
    assert "get alpha somewhere" in user.result["message"]


def test_terminal_is_back_after_the_host_was_killed_in_the_menu(user: User) -> None:
    terminal = opened(user, alpha=True)
    menu = user.beside()
    os.kill(user.pid("host"), signal.SIGKILL)
    # The menu may be drawn once more, over it.
    wait_until(lambda: b"SHELL AGAIN" in terminal.written)
    wait_until(lambda: is_gone(menu.pid))
    assert terminal.stty() == (user.folder / "before").read_text()


def test_terminal_is_back_after_the_menu_was_killed(user: User) -> None:
    opened(user, alpha=True)
    user.beside().kill()
    assert user.settings_are_back()
    assert user.result["error"] == "ProcessError"
