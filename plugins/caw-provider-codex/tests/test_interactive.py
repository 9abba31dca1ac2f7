"""codex's own interface in a real terminal, and what Python goes on with afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import Agent, McpServer
from caw_testkit.interactive_host import HandedTerminal
from caw_testkit.modelserver import call, echo, hang, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

SYSTEM = "You speak like a lighthouse keeper."
SECRET = "the-secret-of-a-tool-server"
READY = "Ask Codex"
CTRL_D = "\x04"


@pytest.fixture
def given(desk: Desk, tmp_path: Path) -> dict[str, Any]:
    """Return the agent's arguments, here and in the program that hands over."""
    settings = desk.settings(system_prompt=SYSTEM, data_dir=tmp_path / "records")
    del settings["session_id"]
    return settings


def started(terminal: HandedTerminal) -> list[psutil.Process]:
    """Return the processes that run because of the hand-over."""
    return psutil.Process(terminal.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    assert psutil.wait_procs(processes, timeout=60)[1] == []


def test_interface_is_opened_without_a_prompt(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    with HandedTerminal("codex", given, tmp_path) as terminal:
        result = terminal.sees(READY).says("typed words").sees("echo: typed words").leaves(CTRL_D)
    with Agent("codex", **given).resume_session(result["resume_handle"]) as session:
        session.send("from Python")
    assert model_server.requests[-1].user_texts()[-2:] == ["typed words", "from Python"]
    assert SYSTEM in "".join(model_server.requests[0].system())


def test_nothing_said_leaves_no_conversation(given: dict[str, Any], tmp_path: Path) -> None:
    with HandedTerminal("codex", given, tmp_path) as terminal:
        result = terminal.sees(READY).leaves(CTRL_D)
    assert (result["exit_code"], result["resume_key"]) == (0, None)
    assert Agent("codex", **given).find_sessions() == []


def test_conversation_from_python_goes_on_in_the_interface(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    with Agent("codex", **given).start_session() as session:
        session.send("from Python")
        handle = session.resume_handle
    call_ = {"prompt": "and then", "resume": handle}
    with HandedTerminal("codex", given, tmp_path, **call_) as terminal:
        result = terminal.sees("echo: from Python").sees("echo: and then").leaves(CTRL_D)
    assert result["session_id"] == session.session_id
    assert model_server.requests[-1].user_texts()[-2:] == ["from Python", "and then"]


def test_conversation_that_the_user_began_there_is_the_one_that_goes_on(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    with HandedTerminal("codex", given, tmp_path, prompt="first words") as terminal:
        terminal.sees("echo: first words").says("/new")
        terminal.wait_until(lambda screen: "first words" not in screen, "the new conversation")
        result = terminal.says("other words").sees("echo: other words").leaves(CTRL_D)
    with Agent("codex", **given).resume_session(result["resume_handle"]) as session:
        session.send("from Python")
    assert model_server.requests[-1].user_texts()[-2:] == ["other words", "from Python"]


def test_killed_interface_leaves_the_conversation_free(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.script(hang())
    model_server.respond(echo)
    with HandedTerminal("codex", given, tmp_path, prompt="first words") as terminal:
        terminal.sees("Working")
        processes = started(terminal)
        [interface] = [one for one in processes if "resume" in one.cmdline()]
        interface.kill()
        result = terminal.result()
    assert_gone(processes)
    before, after = result["settings"]
    assert (result["exit_code"], before) == (137, after)
    with Agent("codex", **given).resume_session(result["resume_handle"]) as session:
        assert session.send("from Python").result == "echo: from Python"


def test_what_may_not_be_done_is_asked_there(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    touch = call("exec_command", {"cmd": "touch asked"})
    model_server.script(reply(touch), reply(text("so be it")))
    asking = {**given, "permissions": "ask"}
    with HandedTerminal("codex", asking, tmp_path, prompt="do it") as terminal:
        terminal.sees("Would you like to run")
        assert not (given["cwd"] / "asked").exists()
        terminal.presses("y", then="so be it").leaves(CTRL_D)
    assert (given["cwd"] / "asked").exists()


def test_nothing_private_is_in_argv(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    server = McpServer(name="tools", command="false", env={"TOKEN": SECRET})
    equipped = {**given, "mcp_servers": [server]}
    with HandedTerminal("codex", equipped, tmp_path, prompt="first words") as terminal:
        terminal.sees("echo: first words")
        argv = [" ".join(one.cmdline()) for one in started(terminal)]
        terminal.leaves(CTRL_D)
    for private in (SECRET, SYSTEM, "first words"):
        assert not any(private in line for line in argv)
