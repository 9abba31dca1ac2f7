"""SIGKILL at any moment: what was acknowledged is there, and the session loads and goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from caw_storage_jsonl import JsonlStorage

WRITER = Path(__file__).with_name("writer.py")
KILLS = 40


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_no_acknowledged_turn_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    storage = JsonlStorage(tmp_path)
    random_turns = random.Random(7)
    acknowledged, asked = -1, 0
    for _ in range(KILLS):
        command = [sys.executable, str(WRITER), str(tmp_path), "killed"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "leased\n"
            wanted = random_turns.randrange(4)
            asked += wanted
            for _ in range(wanted):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            for line in writer.stdout:
                # A last line without its end was cut by the kill and acknowledges nothing.
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        stored = storage.load_trajectory("killed")
        turns = stored.turns if stored else ()
        assert len(turns) > acknowledged
        for turn in turns[: acknowledged + 1]:
            assert turn.input == f"prompt {turn.index}"
            ended = turn.status == "completed"
            assert (turn.result == f"answer {turn.index}") is ended
            assert ended or turn.status == "unknown"
        if acknowledged >= 0:
            assert turns[acknowledged].status == "completed"
    assert acknowledged >= asked - 1
