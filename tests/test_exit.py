"""A program that ends, however it ends, ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = """
import sys
from caw_core import Agent

agent = Agent("echo", data_dir=sys.argv[1])
session = agent.start_session(session_id="s1")
"""
WAYS = {
    "a stream that nobody finished": 'stream = session.stream("a\\n!slow 60"); next(iter(stream))',
    "an exception while reading": (
        'for event in session.stream("a\\n!slow 60"):\n'
        '    if event.type == "text_delta": raise ZeroDivisionError'
    ),
    "a session that nobody ended": 'session.send("hi")',
}


@pytest.mark.parametrize("way", WAYS)
def test_program_that_leaves_a_session_open_exits_and_its_record_is_closed(
    way: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", BEGIN + WAYS[way], str(tmp_path)]
    result = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert "Exception in thread" not in result.stderr
    record = json.loads((tmp_path / "sessions/s1/trajectory.json").read_text())
    assert record["completed_at"]
    expected = "completed" if way == "a session that nobody ended" else "interrupted"
    assert [turn["status"] for turn in record["turns"]] == [expected]


def test_session_that_nobody_holds_is_ended(tmp_path: Path) -> None:
    program = """
import sys, time
from caw_core import Agent
from caw_core.errors import SessionBusyError

agent = Agent("echo", data_dir=sys.argv[1])
session = agent.start_session()
session.send("one")
handle = session.resume_handle
del session
for _ in range(200):
    try:
        print(agent.resume_session(handle).send("two").index)
        break
    except SessionBusyError:
        time.sleep(0.05)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("1\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_fork_of_the_host_leaves_the_session_to_its_parent(tmp_path: Path) -> None:
    # The child leaves as an ordinary program does, with all that is done at its exit.
    fork = """
import os
from caw_core.errors import SessionStateError

session.send("one")
pid = os.fork()
if not pid:
    try:
        session.send("from the fork")
    except SessionStateError as error:
        print(error)
    session.end()
    sys.exit(0)
os.waitpid(pid, 0)
print(session.send("two").result)
session.end()
"""
    program = [sys.executable, "-W", "ignore", "-c", BEGIN + fork, str(tmp_path)]
    result = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr == ""
    refused, answered = result.stdout.splitlines()
    assert refused.startswith("the session belongs to process ")
    assert answered == "echo: two"
    record = json.loads((tmp_path / "sessions/s1/trajectory.json").read_text())
    assert [turn["input"] for turn in record["turns"]] == ["one", "two"]
