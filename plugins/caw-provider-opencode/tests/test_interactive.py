"""opencode's own interface in a real terminal, and what Python goes on with afterwards."""

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

# Two servers start one after the other, and the interface itself.
pytestmark = [pytest.mark.real_opencode, pytest.mark.timeout(300)]

SYSTEM = "You speak like a lighthouse keeper."
SECRET = "the-secret-of-a-tool-server"
READY = "ctrl+p"
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


def test_model_and_agent_are_those_asked_for_also_without_a_prompt(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.script(reply(text("a plan")))
    chosen = {
        **given,
        "model": "testkit/priced",
        "reasoning": "high",
        "options": {**given["options"], "agent": "plan"},
    }
    with HandedTerminal("opencode", chosen, tmp_path) as terminal:
        terminal.sees("Plan").says("typed words").sees("a plan")
        result = terminal.leaves(CTRL_D)
    [request] = model_server.requests
    assert (request.model, request.body["reasoning_effort"]) == ("priced", "high")
    assert "typed words" in request.user_texts()
    assert result["resume_key"].startswith("ses_")


def test_nothing_said_leaves_no_conversation(
    given: dict[str, Any], tmp_path: Path, desk: Desk
) -> None:
    before = Agent("opencode", **given).find_sessions()
    with HandedTerminal("opencode", given, tmp_path) as terminal:
        result = terminal.sees(READY).leaves(CTRL_D)
    assert (result["exit_code"], result["resume_key"]) == (0, None)
    assert len(Agent("opencode", **given).find_sessions()) == len(before)


def test_conversation_from_python_goes_on_in_the_interface(
    given: dict[str, Any], tmp_path: Path, desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    with desk.agent(data_dir=tmp_path / "records").start_session() as session:
        session.send("from Python")
        handle = session.resume_handle
    asked = {"prompt": "and then", "resume": handle}
    with HandedTerminal("opencode", given, tmp_path, **asked) as terminal:
        result = terminal.sees("echo: from Python").sees("echo: and then").leaves(CTRL_D)
    assert result["session_id"] == session.session_id
    assert model_server.requests[-1].user_texts()[-2:] == ["from Python", "and then"]


def test_killed_interface_leaves_nothing_running(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.script(hang())
    model_server.respond(echo)
    with HandedTerminal("opencode", given, tmp_path, prompt="first words") as terminal:
        terminal.sees("first words")
        model_server.wait_for_requests(1)
        processes = started(terminal)
        [interface] = [one for one in processes if "attach" in one.cmdline()]
        interface.kill()
        result = terminal.result()
    assert_gone(processes)
    before, after = result["settings"]
    assert (result["exit_code"], before) == (137, after)
    with Agent("opencode", **given).resume_session(result["resume_handle"]) as session:
        assert session.send("from Python").result == "echo: from Python"


def test_what_may_not_be_done_is_asked_there(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    touch = call("bash", {"command": "touch asked", "description": "touches"})
    model_server.script(reply(touch), reply(text("so be it")))
    asking = {**given, "permissions": "ask"}
    with HandedTerminal("opencode", asking, tmp_path, prompt="do it") as terminal:
        terminal.sees("Allow once")
        assert not (given["cwd"] / "asked").exists()
        terminal.presses("\r", then="so be it").leaves(CTRL_D)
    assert (given["cwd"] / "asked").exists()


def test_nothing_private_is_in_argv(
    given: dict[str, Any], tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    server = McpServer(name="tools", command="false", env={"TOKEN": SECRET})
    equipped = {**given, "mcp_servers": [server]}
    with HandedTerminal("opencode", equipped, tmp_path, prompt="first words") as terminal:
        terminal.sees("echo: first words")
        argv = [" ".join(one.cmdline()) for one in started(terminal)]
        terminal.leaves(CTRL_D)
    for private in (SECRET, SYSTEM, "first words"):
        assert not any(private in line for line in argv)
