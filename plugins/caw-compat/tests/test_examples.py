"""Every example of the wrapper's README and pages runs unchanged, with the real programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from caw_testkit.modelserver import call, reply, text

from .stage import text_of

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer, RecordedRequest, Step

    from .stage import Stage

IMPORT = "from caw import Agent\n"
"""What the first example of a page imports, and the others do not repeat."""


def use(provider: str, server: str, tool: str, arguments: dict[str, object]) -> Step:
    """Return an answer of a model that uses a tool, by the name under which it was offered."""
    if provider == "codex":
        return reply(call(tool, arguments, namespace=f"mcp__{server}"))
    name = f"{server}_{tool}" if provider == "opencode" else f"mcp__{server}__{tool}"
    return reply(call(name, arguments))


def says(request: RecordedRequest, system_prompt: str) -> bool:
    """Whether a request has a system prompt, alone or among others."""
    return any(system_prompt in part for part in request.system())


# ------------------------------------------------------------------------------------- the README


@pytest.mark.real_claude
def test_readme_quick_start(stage: Stage, model_server: ModelServer) -> None:
    del stage.env["CAW_PROVIDER"]
    model_server.script(reply(text("It keeps notes.")))
    assert re.fullmatch(
        r"It keeps notes\.\n15 tokens, \$0\.0\d+\n", stage.run("readme_quick_start")
    )


@pytest.mark.real_claude
def test_readme_multi_turn_session(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("None found.")), reply(text("None there.")))
    printed = stage.run_text(IMPORT + text_of("readme_multi_turn"))
    assert printed == "None found.\nNone there.\n"
    for request in model_server.requests:
        assert says(request, "You are a security reviewer.")
        assert (request.model, request.body["output_config"]["effort"]) == (
            "claude-opus-4-7",
            "high",
        )


def test_readme_caw_provider(any_stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("Hello.")))
    rest = 'trajectory = agent.completion("hi")\nprint(trajectory.agent, trajectory.result)\n'
    printed = any_stage.run_text(text_of("readme_caw_provider") + rest)
    assert printed == f"{any_stage.provider} Hello.\n"


@pytest.mark.real_codex
def test_readme_fallback_takes_the_provider_that_is_there(
    tmp_path_factory: pytest.TempPathFactory, model_server: ModelServer
) -> None:
    from .stage import Stage

    stage = Stage(tmp_path_factory.mktemp("codex"), model_server, "codex")
    model_server.script(reply(text("Hello there.")))
    printed = stage.run_text(IMPORT + text_of("readme_fallback"))
    assert printed == "[codex] Hello there.\n"


def test_readme_tools(any_stage: Stage, model_server: ModelServer) -> None:
    add = use(any_stage.provider, "general", "add", {"a": 17, "b": 25})
    model_server.script(add, reply(text("It is 42.")))
    assert any_stage.run("readme_tools") == "It is 42.\n"
    assert "42" in model_server.requests[-1].tool_results()[-1].text


@pytest.mark.real_claude
def test_readme_traj_path(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("There are none.")))
    stage.run_text(IMPORT + text_of("readme_traj_path"))
    document = json.loads((stage.cwd / "run.json").read_text())
    (folder,) = (stage.cwd / "caw_data/sessions").iterdir()
    assert document == json.loads((folder / "trajectory.json").read_text())
    assert document["turns"][0]["output"] == [{"type": "text", "text": "There are none."}]


# -------------------------------------------------------------------------- the page on sessions


@pytest.mark.real_claude
def test_sessions_page_multi_turn(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("First.")), reply(text("Second.")))
    assert stage.run("sessions") == "First.\nSecond.\n"
    second = model_server.requests[-1]
    assert second.user_texts()[-1] == "Now check src/api.py"
    assert says(second, "You are a security reviewer.")


@pytest.mark.real_claude
def test_sessions_page_completion(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("It adds.")))
    printed = stage.run_text(f"{IMPORT}agent = Agent()\n{text_of('sessions_completion')}")
    assert printed == "It adds.\n"


def test_sessions_page_progress(any_stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("Noted.")), reply(text("42.")))
    printed = any_stage.run_text(f"{IMPORT}agent = Agent()\n{text_of('sessions_inspect')}")
    assert printed == "Turns: 2\nTotal tool calls: 0\nTotal tokens: 30\n"


@pytest.mark.real_claude
def test_sessions_page_async_sends(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("Done.")))
    before = f"{IMPORT}session = Agent().start_session()\nprompt = 'go'\n"
    after = "print(turn.result, session.end().num_turns)\n"
    assert stage.run_awaiting(before + text_of("sessions_async") + after) == "Done. 1\n"


# -------------------------------------------------------------------------- the page on resuming


@pytest.mark.real_claude
def test_resuming_page_two_processes(stage: Stage, model_server: ModelServer) -> None:
    model_server.script(reply(text("I will.")), reply(text("staging-eu")))
    assert stage.run_text(IMPORT + text_of("resuming")) == "staging-eu\n"
    asked = model_server.requests[-1].user_texts()
    assert asked[-1] == "Where am I deploying?"
    assert "My deploy target is staging-eu. Remember that." in asked


def test_resuming_page_with_and_without_data_dir(
    any_stage: Stage, model_server: ModelServer
) -> None:
    model_server.script(*(reply(text(answer)) for answer in ("Noted.", "42.", "Still 42.")))
    lines = any_stage.run("resume").splitlines()
    handle = json.loads(lines[1].removeprefix("Stored resume_handle: "))
    assert list(handle) == ["version", "provider", "session_id", "resume_key"]
    assert (handle["version"], handle["provider"]) == (1, any_stage.provider)
    assert [line for line in lines[2:] if line] == [
        "[with data_dir]    recalled: '42.'",
        "[with data_dir]    turns in trajectory: 2",
        "[without data_dir] recalled: 'Still 42.'",
        "[without data_dir] turns in trajectory: 1",
    ]
    assert len(model_server.requests[-1].user_texts()) >= 3


# ------------------------------------------------------------------------- tools and subagents


@pytest.mark.real_claude
def test_toolkit_example(stage: Stage, model_server: ModelServer) -> None:
    add = use(stage.provider, "counter", "add", {"amount": 3})
    model_server.script(add, reply(text("It says 3.")))
    assert stage.run("toolkit") == "counter: 3\n3\n"


@pytest.mark.real_claude
def test_subagents_example(stage: Stage, model_server: ModelServer) -> None:
    ask = use(stage.provider, "subagents", "reviewer", {"prompt": "Look at a.py."})
    model_server.script(ask, reply(text("It is fine, says the reviewer.")))
    model_server.script(
        reply(text("Fine.")), when=lambda request: says(request, "You are a reviewer.")
    )
    assert stage.run("subagents") == "Fine.\nIt is fine, says the reviewer.\nTrue\n"
