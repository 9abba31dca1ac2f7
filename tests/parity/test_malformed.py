"""What a program writes when something is wrong, with each real agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_testkit.faulty_program import FaultyProgram, insert
from caw_testkit.malformed import malformed_lines
from caw_testkit.modelserver import reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Trial

GOOD = {
    "claude_code": b'{"type":"assistant","message":{"id":"m","role":"assistant","model":"opus",'
    b'"content":[{"type":"text","text":"quince"}],"usage":{"input_tokens":1,"output_tokens":1}},'
    b'"parent_tool_use_id":null,"session_id":"s","uuid":"u"}',
    "codex": b'{"method":"item/completed","params":{"threadId":"T","turnId":"U","item":'
    b'{"type":"agentMessage","id":"a","text":"quince"}}}',
    "opencode": b'{"id":"evt_1","type":"message.part.updated","properties":{"sessionID":"s","part":'
    b'{"id":"p","messageID":"m","sessionID":"s","type":"text","text":"quince"},"time":1}}',
}
"""A line of each agent's, as it writes them."""

NEEDLE = "tamarillo"


def test_turn_goes_on_after_each_malformed_line(trial: Trial, tmp_path: Path) -> None:
    name = trial.kind.name
    program = FaultyProgram(tmp_path, trial.program, http=name == "opencode")
    lines = malformed_lines(GOOD[name])
    outcomes = {}
    with trial.session(options={"binary": str(program.path)}) as session:
        for what, line in lines.items():
            program.arm(insert(line), NEEDLE.encode())
            trial.server.script(reply(text(NEEDLE)))
            turn = session.send("go")
            outcomes[what] = (turn.status, NEEDLE in turn.text, program.happened)
    assert len(outcomes) == 24
    assert set(outcomes.values()) == {("completed", True, True)}, outcomes
