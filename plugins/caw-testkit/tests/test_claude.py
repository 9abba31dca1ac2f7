"""The real claude against the scripted model server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.modelserver import Usage, call, fail, reply, text, think

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_claude


def claude_print(
    program: Program, home: ProgramHome, prompt: str
) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [
            program.path,
            "-p",
            "--verbose",
            "--output-format=stream-json",
            "--dangerously-skip-permissions",
        ],
        input=prompt,
        capture_output=True,
        text=True,
        cwd=home.cwd,
        env=home.env,
        timeout=120,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_turn_with_thought_tool_call_and_answer(
    model_server: ModelServer, claude_program: Program, claude_home: ProgramHome
) -> None:
    model_server.script(
        reply(
            think("I need a shell."),
            text("I will run it."),
            call("Bash", {"command": "printf 'made-%s' here", "description": "print"}),
            usage=Usage(input_tokens=100, cached_tokens=40, output_tokens=20),
        ),
        reply(text("It is done."), usage=Usage(input_tokens=150, output_tokens=4)),
    )
    code, lines = claude_print(claude_program, claude_home, "Please run the command")
    assert code == 0
    result = lines[-1]
    assert result["result"] == "It is done."
    assert lines[0]["claude_code_version"] == claude_program.version
    blocks = [b["type"] for m in lines if m["type"] == "assistant" for b in m["message"]["content"]]
    assert blocks == ["thinking", "text", "tool_use", "text"]
    first, second = model_server.requests
    assert first.last_user_text() == "Please run the command"
    assert "Bash" in first.tools
    assert first.used_credential("caw-testkit-key")
    assert second.tool_results()[-1].text == "made-here"
    usage = result["usage"]
    assert usage["cache_read_input_tokens"] == model_server.usage.cached_tokens == 40
    assert usage["input_tokens"] + 40 == model_server.usage.input_tokens == 250
    assert usage["output_tokens"] == model_server.usage.output_tokens == 24


def test_a_refused_request_is_not_repeated(
    model_server: ModelServer, claude_program: Program, claude_home: ProgramHome
) -> None:
    model_server.script(fail(429, "slow down"))
    code, lines = claude_print(claude_program, claude_home, "hello")
    assert code == 1
    assert lines[-1]["is_error"] is True
    assert lines[-1]["api_error_status"] == 429
