"""Claude's own interface in a real terminal, and what Python goes on with afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import Agent, McpServer, Store
from caw_core.handles import ResumeHandle
from caw_testkit.interactive_host import HandedTerminal
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program
    from caw_testkit.terminal import Terminal
    from caw_testkit.toolserver import HttpToolServer

pytestmark = pytest.mark.real_claude


@pytest.fixture
def given(
    claude_program: Program, claude_home: ProgramHome, model_server: ModelServer, tmp_path: Path
) -> dict[str, Any]:
    """Return the agent's arguments, here and in the program that hands over."""
    model_server.respond(echo)
    return {
        "cwd": claude_home.cwd,
        "env": {**dict.fromkeys(os.environ), **claude_home.env},
        "options": {"binary": str(claude_program.path)},
        # With "full" claude asks the user whether that is meant.
        "permissions": "ask",
        "data_dir": tmp_path / "records",
    }


def left(terminal: HandedTerminal) -> dict[str, Any]:
    """Leave claude as a user does; return what became of the hand-over."""
    return terminal.says("/exit").result()


def claude_in(folder: Path) -> psutil.Process:
    """Return the claude that works in a folder."""
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            is_claude = Path((process.info["cmdline"] or [""])[0]).stem == "claude"
            if is_claude and process.cwd() == str(folder):
                return process
    raise LookupError(folder)


def test_prompt_is_answered_on_the_screen_and_python_goes_on(
    given: dict[str, Any], tmp_path: Path
) -> None:
    prompt = "first words\nof two lines"
    with HandedTerminal("claude_code", given, tmp_path, prompt=prompt) as terminal:
        terminal.sees("echo: first words")
        assert "first words" not in " ".join(claude_in(given["cwd"]).cmdline())
        terminal.says("more").sees("echo: more")
        result = left(terminal)
    before, after = result["settings"]
    assert (result["exit_code"], before) == (0, after)
    assert "first words" in result["output"]
    with Agent("claude_code", **given).resume_session(result["resume_handle"]) as session:
        assert session.session_id == result["session_id"]
        assert session.send("from Python").result == "echo: from Python"
        turns = session.trajectory.turns
    assert [(turn.index, turn.input, turn.result) for turn in turns] == [
        (0, prompt, f"echo: {prompt}"),
        (1, "more", "echo: more"),
        (2, "from Python", "echo: from Python"),
    ]


def test_conversation_of_python_goes_on_in_the_interface_and_in_its_record(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    agent = Agent("claude_code", **given)
    with agent.start_session() as session:
        session.send("in Python")
        call = {"prompt": "on the screen", "resume": session.resume_handle}
    with HandedTerminal("claude_code", given, tmp_path, **call) as terminal:
        terminal.sees("echo: on the screen")
        result = left(terminal)
    assert result["session_id"] == session.session_id
    record = agent.load_trajectory(session.session_id)
    assert record is not None
    assert [turn.input for turn in record.turns] == ["in Python", "on the screen"]
    assert model_server.requests[-1].user_texts()[-2:] == ["in Python", "on the screen"]


def test_conversation_that_the_user_began_there_is_the_one_that_goes_on(
    given: dict[str, Any], tmp_path: Path
) -> None:
    with HandedTerminal("claude_code", given, tmp_path, prompt="old words") as terminal:
        terminal.sees("echo: old words").says("/clear")
        terminal.wait_until(lambda screen: "old words" not in screen, "a clear screen")
        terminal.says("new words").sees("echo: new words")
        result = left(terminal)
    record = Agent("claude_code", **given).load_trajectory(result["session_id"])
    assert record is not None
    assert [turn.input for turn in record.turns] == ["new words"]


def test_options_count_and_no_secret_is_in_argv_or_stays(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer, http_tools: HttpToolServer
) -> None:
    headers = {"Authorization": "Bearer s3cret"}
    given["mcp_servers"] = [McpServer(name="t", url=http_tools.url, headers=headers)]
    given["system_prompt"] = "SPEAK LIKE A SAILOR"
    given["model"] = "claude-sonnet-4-5"
    given["max_turns"] = 3
    with HandedTerminal("claude_code", given, tmp_path, prompt="hello") as terminal:
        terminal.sees("echo: hello")
        words = " ".join(claude_in(given["cwd"]).cmdline())
        files = [Path(word.partition("=")[2]) for word in words.split() if "caw-claude-" in word]
        assert len(files) == 2
        assert all(file.parent.stat().st_mode & 0o077 == 0 for file in files)
        result = left(terminal)
    assert "SAILOR" not in words
    assert "s3cret" not in words
    assert not any(file.exists() for file in files)
    assert result["notices"] == ["max_turns has no effect in claude's own interface"]
    [asked] = [one for one in model_server.requests if "hello" in one.user_texts()]
    assert "SPEAK LIKE A SAILOR" in json.dumps(asked.body)
    assert asked.body["model"] == "claude-sonnet-4-5"


def test_killed_claude_gives_the_terminal_back_and_the_conversation_goes_on(
    given: dict[str, Any], tmp_path: Path, claude_home: ProgramHome
) -> None:
    with HandedTerminal("claude_code", given, tmp_path, prompt="hello") as terminal:
        terminal.sees("echo: hello")
        # Claude writes it down a moment after it shows it.
        store = claude_home.path / ".claude" / "projects"
        end = time.monotonic() + 30
        while not any("echo: hello" in file.read_text() for file in store.glob("*/*.jsonl")):
            assert time.monotonic() < end
            time.sleep(0.02)  # a file is all that it has to say it with
        claude_in(given["cwd"]).kill()
        result = terminal.result()
    before, after = result["settings"]
    assert (result["exit_code"], before) == (137, after)
    with Agent("claude_code", **given).resume_session(result["resume_handle"]) as session:
        assert session.send("still there?").result == "echo: still there?"
        assert [turn.input for turn in session.trajectory.turns] == ["hello", "still there?"]


def test_who_leaves_without_a_word_has_nothing_to_resume(
    given: dict[str, Any], tmp_path: Path
) -> None:
    with HandedTerminal("claude_code", given, tmp_path) as terminal:
        terminal.sees("for shortcuts")
        result = left(terminal)
    assert (result["session_id"], result["resume_handle"]) == (None, None)


def test_conversation_that_is_gone_is_told_before_anything_starts(
    given: dict[str, Any], tmp_path: Path
) -> None:
    key = "6c5c1d0e-0000-4000-8000-000000000000"
    handle = ResumeHandle(provider="claude_code", session_id="s", resume_key=key).encode()
    with HandedTerminal("claude_code", given, tmp_path, resume=handle) as terminal:
        assert terminal.result()["error"].startswith("NotResumableError")


def in_a_shell(
    given: dict[str, Any],
    home: ProgramHome,
    folder: Path,
    open_terminal: Callable[..., Terminal],
) -> Terminal:
    """Have a shell run the command line, and note the terminal's settings before and after."""
    words = [sys.executable, "-m", "caw_core", "interactive", "hello", "-p", "claude_code"]
    words += ["-o", f"binary={given['options']['binary']}", "-C", str(given["cwd"])]
    words += ["--permissions", "ask", "--data-dir", str(given["data_dir"])]
    script = f"stty -a > before; {shlex.join(words)}; echo status $?; stty -a > after; echo DONE"
    env = {**os.environ, **home.env}
    return open_terminal(["/bin/sh", "-c", f"{script}; exec cat"], cwd=folder, env=env)


def test_command_line_keeps_the_record_and_the_terminal_as_it_was(
    given: dict[str, Any],
    claude_home: ProgramHome,
    tmp_path: Path,
    open_terminal: Callable[..., Terminal],
) -> None:
    terminal = in_a_shell(given, claude_home, tmp_path, open_terminal)
    terminal.wait_for("echo: hello")
    terminal.type("/exit")
    terminal.wait_for("Exit the CLI")
    terminal.type("\r")
    screen = terminal.wait_for("DONE")
    assert "status 0" in screen
    assert "caw resume" in screen
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    store = Store(given["data_dir"].as_uri().replace("file:", "jsonl:"))
    [summary] = store.list().sessions
    record = store.load(summary.info.session_id)
    assert record is not None
    assert [turn.input for turn in record.turns] == ["hello"]


def test_killed_host_leaves_no_claude_and_the_terminal_as_it_was(
    given: dict[str, Any],
    claude_home: ProgramHome,
    tmp_path: Path,
    open_terminal: Callable[..., Terminal],
) -> None:
    terminal = in_a_shell(given, claude_home, tmp_path, open_terminal)
    terminal.wait_for("echo: hello")
    claude = claude_in(given["cwd"])
    [keeper] = claude.parents()[:1]
    [host] = keeper.parents()[:1]
    host.kill()
    terminal.wait_for("DONE")
    assert psutil.wait_procs([claude, keeper], timeout=30)[1] == []
    assert terminal.stty() == (tmp_path / "before").read_text()
