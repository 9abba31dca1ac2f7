"""A secret of the environment is in nothing that ``caw run`` leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Caw

CANARY = "canary-5b1f7c0e9a62"
PROMPT = f"!tool shell {{}} => {CANARY}\nsay {CANARY}\n!notice {CANARY}\n!fail {CANARY}"


@pytest.mark.parametrize("debug", ["0", "1"])
def test_secret_of_the_environment_is_in_no_error_and_no_file_of_a_run(
    caw: Caw, debug: str
) -> None:
    result = caw("run", "--json", "-p", "echo", PROMPT, SOME_API_KEY=CANARY, CAW_DEBUG=debug)
    assert result.code == 1
    assert CANARY not in result.err
    # What the agent says meanwhile is for who reads it; what it comes to is a record.
    events = [json.loads(line) for line in result.out.splitlines()]
    kept = [event for event in events if event["type"] in {"turn_ended", "error"}]
    assert kept
    assert CANARY not in json.dumps(kept)
    files = [file for file in Path(caw.env["CAW_HOME"]).rglob("*") if file.is_file()]
    assert [file for file in files if CANARY.encode() in file.read_bytes()] == []
    assert any(b"[redacted]" in file.read_bytes() for file in files)
