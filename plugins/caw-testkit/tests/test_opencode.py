"""The real opencode against the scripted model server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from caw_testkit.modelserver import Usage, call, reply, text, think

if TYPE_CHECKING:
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

pytestmark = pytest.mark.real_opencode


def test_a_turn_with_thought_tool_call_and_answer(
    model_server: ModelServer, opencode_program: Program, opencode_home: ProgramHome
) -> None:
    model_server.script(
        reply(
            think("I need a shell."),
            text("I will run it."),
            call("bash", {"command": "printf 'made-%s' here", "description": "print"}),
            usage=Usage(input_tokens=100, cached_tokens=40, output_tokens=20, reasoning_tokens=7),
        ),
        reply(text("It is done."), usage=Usage(input_tokens=150, output_tokens=4)),
    )
    done = subprocess.run(
        [opencode_program.path, "run", "--format", "json", "--thinking", "Please run it"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=opencode_home.cwd,
        env=opencode_home.env,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [line["part"]["text"] for line in lines if line["type"] == "text"]
    assert said == ["I will run it.", "It is done."]
    thought = [line["part"]["text"] for line in lines if line["type"] == "reasoning"]
    assert thought == ["I need a shell."]
    [tool] = [line["part"] for line in lines if line["type"] == "tool_use"]
    assert tool["state"]["output"].strip() == "made-here"
    first, second = model_server.requests
    assert "Please run it" in first.last_user_text()
    assert "bash" in first.tools
    assert first.used_credential("caw-testkit-key")
    assert "made-here" in second.tool_results()[-1].text
    # Its title request must neither take a step nor count.
    assert len(model_server.asides) == 1
    tokens = [line["part"]["tokens"] for line in lines if line["type"] == "step_finish"]
    assert sum(count["input"] + count["cache"]["read"] for count in tokens) == 250
    assert sum(count["output"] + count["reasoning"] for count in tokens) == 24
    assert model_server.usage.total_tokens == 274
