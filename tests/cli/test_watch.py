"""``caw watch``: a session that another process holds, as it goes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core import Agent

if TYPE_CHECKING:
    from .conftest import Caw


def agent(caw: Caw) -> Agent:
    return Agent("echo", data_dir=Path(caw.env["CAW_HOME"]) / "data")


def test_events_of_another_process_come_as_they_happen(caw: Caw) -> None:
    with agent(caw).start_session(session_id="running") as session:
        session.send("one")
        watching = caw.start("watch", "running", "--json")
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        assert (first["type"], first["turn"], first["cursor"]) == ("turn_started", 0, "0.0")
        session.send("two")
    lines = [first, *map(json.loads, watching.stdout)]
    assert watching.wait(60) == 0
    said = "".join(line["text"] for line in lines if line["type"] == "text_done")
    assert said == "echo: oneecho: two"
    ends = [(line["turn"], line["cursor"]) for line in lines if line["type"] == "turn_ended"]
    assert ends == [(0, "1"), (1, "2")]
    assert "gap" not in {line["type"] for line in lines}


def test_people_read_answers_on_stdout_and_the_rest_on_stderr(caw: Caw) -> None:
    with agent(caw).start_session(session_id="running") as session:
        session.send('!tool shell {"command": "ls"} => out\nbye')
    result = caw("watch", "running")
    assert (result.code, result.out) == (0, "echo: bye\n")
    assert "shell" in result.err
    assert "turn 0: completed" in result.err


def test_watching_goes_on_after_a_cursor(caw: Caw) -> None:
    with agent(caw).start_session(session_id="running") as session:
        session.send("one")
        session.send("two")
    lines = caw("watch", "running", "--json", "--from", "1").lines
    assert {line["turn"] for line in lines} == {1}


def test_ctrl_c_ends_the_watching_and_not_the_session(caw: Caw) -> None:
    with agent(caw).start_session(session_id="running") as session:
        session.send("one")
        watching = caw.start("watch", "running", "--json")
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
        assert session.send("two").status == "completed"


def test_session_that_does_not_exist_is_code_2(caw: Caw) -> None:
    result = caw("watch", "none")
    assert result.code == 2
    assert "no session" in result.err


def test_cursor_that_is_none_is_code_2(caw: Caw) -> None:
    with agent(caw).start_session(session_id="running") as session:
        session.send("one")
    result = caw("watch", "running", "--from", "later")
    assert result.code == 2
    assert "cursor" in result.err


def test_session_whose_events_are_gone_is_told(caw: Caw) -> None:
    with agent(caw).start_session(session_id="ended") as session:
        session.send("one")
    result = caw("watch", "ended", "--from", "7")
    assert (result.code, result.out) == (0, "")
    assert "'caw show' tells what happened" in result.err
