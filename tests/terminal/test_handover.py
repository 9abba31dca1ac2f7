"""The terminal in a program's hands, and back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import HOST, is_gone, wait_until

if TYPE_CHECKING:
    from .conftest import User

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")

DRAWS = r"""
import tty
tty.setraw(0)
os.write(1, b"\x1b[?1049h\x1b[?1000h\x1b[?25l\x1b[?2004h\x1b[>1u\x1b[2J\x1b[HFULL SCREEN")
os.read(0, 1)
"""
"""Takes the screen, the mouse and the keys, as agents' interfaces do, and does not tidy up."""


def test_program_talks_with_the_user_and_its_end_is_kept(user: User) -> None:
    terminal = user.runs_python(
        "print('NAME?'); name = input(); print('x' * 3000); print(f'HELLO {name}'); sys.exit(7)",
        call={"capture_bytes": 20},
    )
    terminal.wait_for("NAME?")
    terminal.type("you\r")
    terminal.wait_for("HELLO you")
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["exit_code"] == 7
    assert user.result["output"] == ("x" * 3000 + "\r\nHELLO you\r\n")[-20:]
    assert (user.result["provider"], user.result["resume_handle"] is None) == ("shown", False)


def test_settings_and_modes_are_back_after_the_program_was_killed(user: User) -> None:
    terminal = user.runs_python(DRAWS)
    terminal.wait_for("FULL SCREEN")
    os.kill(user.pid("program"), signal.SIGKILL)
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["exit_code"] == 128 + signal.SIGKILL
    undone = terminal.written.partition(b"FULL SCREEN")[2]
    for sequence in (b"\x1b[?1049l", b"\x1b[?1000l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[<1u"):
        assert sequence in undone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_terminal_is_back_and_nothing_is_left_after_the_host_was_killed(
    user: User, number: signal.Signals
) -> None:
    terminal = user.runs_python(DRAWS)
    terminal.wait_for("FULL SCREEN")
    host, program, keeper = user.pid("host"), user.pid("program"), user.beside().pid
    os.kill(host, number)
    terminal.wait_for("SHELL AGAIN")
    wait_until(lambda: is_gone(program) and is_gone(keeper))
    assert b"\x1b[?1049l" in terminal.written
    # The shell looks once, which may be before the keeper was told.
    assert terminal.stty() == (user.folder / "before").read_text()


def test_host_takes_the_terminal_back_when_the_keeper_was_killed(user: User) -> None:
    terminal = user.runs_python(DRAWS)
    terminal.wait_for("FULL SCREEN")
    user.beside().kill()
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["error"] == "ProcessError"
    assert b"\x1b[?1049l" in terminal.written
    wait_until(lambda: is_gone(user.pid("program")))


def test_window_changes_reach_the_program(user: User) -> None:
    terminal = user.runs_python(
        "def show(*_): print('SIZE', *os.get_terminal_size())\n"
        "signal.signal(signal.SIGWINCH, show)\n"
        "show()\n"
        "while True: time.sleep(1000)"
    )
    terminal.wait_for("SIZE 100 30")
    terminal.resize(20, 60)
    terminal.wait_for("SIZE 60 20")


def test_what_the_program_left_is_ended(user: User) -> None:
    terminal = user.runs_python(
        "import subprocess\n"
        "left = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "open('left.pid', 'w').write(f'{left.pid}\\n')\n"
    )
    terminal.wait_for("SHELL AGAIN")
    assert is_gone(user.pid("left"))


def test_suspended_program_stops_the_job_and_comes_back_with_it(user: User) -> None:
    terminal = user.runs_shell()
    terminal.wait_for("PROMPT>")
    (user.folder / "program.py").write_text(
        "import os, signal, tty\n"
        "tty.setraw(0)\n"
        "os.write(1, b'RUNNING')\n"
        "os.read(0, 1)\n"
        "os.kill(0, signal.SIGSTOP)\n"
        "os.write(1, b'GOING ON')\n"
        "os.read(0, 1)\n"
    )
    told = f'{{"argv": ["{sys.executable}", "program.py"]}}'
    terminal.type("stty -a > before\r")
    terminal.type(shlex.join([sys.executable, str(HOST), told]) + "\r")
    terminal.wait_for("RUNNING")
    terminal.type("z")
    terminal.wait_for("Stopped")
    terminal.type("stty -a > after\r")
    assert user.settings_are_back()
    terminal.type("fg\r")
    terminal.wait_for("GOING ON")
    terminal.type("q")
    terminal.wait_for("IT IS OVER")
    assert user.result["exit_code"] == 0


def test_host_that_is_stopped_from_outside_gives_the_terminal_to_its_shell(user: User) -> None:
    terminal = user.runs_shell()
    terminal.wait_for("PROMPT>")
    (user.folder / "program.py").write_text("import os\n" + DRAWS)
    told = f'{{"argv": ["{sys.executable}", "program.py"]}}'
    terminal.type("stty -a > before\r")
    terminal.type(shlex.join([sys.executable, str(HOST), told]) + "\r")
    terminal.wait_for("FULL SCREEN")
    os.killpg(os.getpgid(user.pid("host")), signal.SIGTSTP)
    terminal.wait_for("Stopped")
    terminal.type("stty -a > after\r")
    assert user.settings_are_back()
    assert b"\x1b[?1000l" in terminal.written
    stopped = len(terminal.written)
    terminal.type("fg\r")
    wait_until(lambda: b"\x1b[?1000h" in terminal.written[stopped:])
    terminal.type("q")
    terminal.wait_for("IT IS OVER")


def test_program_reads_its_prompt_from_stdin_and_its_keys_from_the_terminal(user: User) -> None:
    prompt = "the prompt " * 6_000
    terminal = user.runs_python(
        "said = sys.stdin.read()\n"
        "print('READ', len(said))\n"
        "keys = open('/dev/tty')\n"
        "print('KEYS', keys.readline())\n",
        stdin=prompt,
    )
    terminal.wait_for("READ 66000")
    terminal.type("typed\r")
    terminal.wait_for("KEYS typed")


def test_long_paste_arrives_whole_while_the_program_writes(user: User) -> None:
    terminal = user.runs_python(
        "import tty\n"
        "tty.setraw(0)\n"
        "print('READY')\n"
        "got = 0\n"
        "while got < 300_000:\n"
        "    got += len(os.read(0, 1000))\n"
        "    os.write(1, b'.' * 1000)\n"
        "print('GOT', got)\n"
    )
    terminal.wait_for("READY")
    terminal.type("p" * 300_000)
    terminal.wait_for("GOT 300000")


def test_cancelled_task_ends_the_program_and_has_the_terminal_back(user: User) -> None:
    terminal = user.runs_python(DRAWS, ends=True)
    terminal.wait_for("FULL SCREEN")
    os.kill(user.pid("host"), signal.SIGUSR1)
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["error"] == "CancelledError"
    assert is_gone(user.pid("program"))


def test_interrupted_host_gets_its_exception_and_its_terminal(user: User) -> None:
    terminal = user.runs_python(DRAWS)
    terminal.wait_for("FULL SCREEN")
    os.kill(user.pid("host"), signal.SIGINT)
    terminal.wait_for("SHELL AGAIN")
    assert user.settings_are_back()
    assert user.result["error"] == "KeyboardInterrupt"
    assert is_gone(user.pid("program"))


def test_program_that_ignores_the_request_to_end_is_made_to(user: User) -> None:
    terminal = user.runs_python(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('RUNNING'); time.sleep(1000)",
        ends=True,
    )
    terminal.wait_for("RUNNING")
    os.kill(user.pid("host"), signal.SIGUSR1)
    terminal.wait_for("SHELL AGAIN")
    assert is_gone(user.pid("program"))
    assert user.settings_are_back()


def test_program_that_is_not_there_is_told(user: User) -> None:
    terminal = user.runs({"argv": ["/nowhere/agent"]})
    terminal.wait_for("SHELL AGAIN")
    assert user.result["error"] == "ProgramNotFoundError"
    assert user.settings_are_back()


def test_without_a_terminal_nothing_is_started(user: User) -> None:
    told = f'{{"argv": ["{sys.executable}", "program.py"]}}'
    done = subprocess.run(
        [sys.executable, HOST, told],
        cwd=user.folder,
        env=user.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert b"IT IS OVER" in done.stdout
    assert user.result["error"] == "NoTerminalError"
    assert "stdin and stdout are not one" in user.result["message"]
