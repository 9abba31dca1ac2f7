"""The real codex against the scripted model server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.modelserver import Usage, call, reply, text, think

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_codex


def codex_exec(program: Program, home: ProgramHome, prompt: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [
            program.path,
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            "-",
        ],
        input=prompt,
        capture_output=True,
        text=True,
        cwd=home.cwd,
        env=home.env,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_turn_with_thought_tool_call_and_answer(
    model_server: ModelServer, codex_program: Program, codex_home: ProgramHome
) -> None:
    model_server.script(
        reply(
            think("I need a shell."),
            text("I will run it."),
            call("exec_command", {"cmd": "printf 'made-%s' here"}),
            usage=Usage(input_tokens=100, cached_tokens=40, output_tokens=20, reasoning_tokens=7),
        ),
        reply(text("It is done."), usage=Usage(input_tokens=150, output_tokens=4)),
    )
    lines = codex_exec(codex_program, codex_home, "Please run the command")
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == [
        "I will run it.",
        "It is done.",
    ]
    [command] = [item for item in items if item["type"] == "command_execution"]
    assert command["aggregated_output"] == "made-here"
    first, second = model_server.requests
    assert first.last_user_text() == "Please run the command"
    assert "exec_command" in first.tools
    assert first.used_credential("caw-testkit-key")
    assert "made-here" in second.tool_results()[-1].text
    usage = lines[-1]["usage"]
    assert usage["input_tokens"] == model_server.usage.input_tokens == 250
    assert usage["cached_input_tokens"] == model_server.usage.cached_tokens == 40
    assert usage["output_tokens"] == model_server.usage.output_tokens == 24
