"""``caw sessions`` and ``caw show``: reading records without an agent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from .conftest import Caw


@pytest.fixture
def three(caw: Caw) -> list[str]:
    """Three sessions, the newest first."""
    agent = Agent("echo", data_dir=Path(caw.env["CAW_HOME"]) / "data")
    for number in (1, 2, 3):
        with agent.start_session(session_id=f"session-{number}") as session:
            session.send(f"prompt {number}")
            session.send('!tool shell {"command": "ls"} => out\n!think hm\nbye')
    return ["session-3", "session-2", "session-1"]


def test_sessions_are_listed_newest_first(caw: Caw, three: list[str]) -> None:
    rows = [line.split("\t") for line in caw("sessions").out.splitlines()]
    assert rows[0] == ["ID", "UPDATED", "PROVIDER", "TURNS", "TITLE"]
    assert [row[0] for row in rows[1:]] == three
    assert rows[1][2:] == ["echo", "2", "prompt 3"]


def test_times_are_those_of_this_place_and_say_so(caw: Caw, three: list[str]) -> None:
    moment = caw("sessions", "--json").lines[0]["updated_at"]
    here = datetime.fromisoformat(moment).astimezone(timezone(timedelta(hours=5, minutes=30)))
    shown = f"{here:%Y-%m-%d %H:%M}+05:30"
    assert shown in caw("sessions", TZ="XST-05:30").out
    assert f"ended    {shown}" in caw("show", three[0], TZ="XST-05:30").out


def test_a_list_goes_on_at_its_cursor(caw: Caw, three: list[str]) -> None:
    first = caw("sessions", "--limit", "2", "--json").lines
    cursor = first[-1]["next_cursor"]
    rest = caw("sessions", "--cursor", cursor, "--json").lines
    assert [line["session_id"] for line in (*first[:-1], *rest[:-1])] == three
    assert rest[-1] == {"type": "page", "next_cursor": ""}


def test_a_list_can_be_of_one_provider(caw: Caw, three: list[str]) -> None:
    assert three
    assert len(caw("sessions", "-p", "codex").out.splitlines()) == 1
    assert len(caw("sessions", "-p", "echo").out.splitlines()) == 4


def test_a_session_that_cannot_be_read_is_told(caw: Caw, three: list[str], tmp_path: Path) -> None:
    file = tmp_path / "home" / "data" / "sessions" / three[0] / "traj.jsonl"
    file.write_bytes(b"[1, 2\n" * 5)
    result = caw("sessions")
    assert result.code == 0
    assert "unreadable: session-3" in result.err
    assert "session-2" in result.out


def test_no_list_and_no_record_holds_the_key(caw: Caw, three: list[str]) -> None:
    listed = caw("sessions", "--json").lines
    shown = caw("show", three[0], "--json").lines
    assert all(not line.get("resume_key") for line in (*listed, *shown))


def test_show_tells_what_happened(caw: Caw, three: list[str]) -> None:
    text = caw("show", three[0]).out
    for words in (
        "session  session-3",
        "> prompt 3",
        "echo: prompt 3",
        "• shell ls",
        "  out",
        "hm",
    ):
        assert words in text


def test_show_can_tell_one_turn(caw: Caw, three: list[str]) -> None:
    assert "prompt 3" not in caw("show", three[0], "--turn", "-1").out
    (turn,) = caw("show", "last", "--turn", "0", "--json").lines
    assert turn["input"] == "prompt 3"
    missing = caw("show", "last", "--turn", "7")
    assert (missing.code, "has no turn 7: it has 2" in missing.err) == (2, True)


def test_control_characters_of_a_record_do_not_reach_the_screen(caw: Caw) -> None:
    caw("run", "-p", "echo", "\x1b]0;owned\x07")
    assert "\x1b" not in caw("show", "last").out
    assert "\x1b" not in caw("sessions").out


def test_there_is_nothing_to_list_before_the_first_session(caw: Caw, tmp_path: Path) -> None:
    result = caw("sessions")
    assert (result.code, result.out.splitlines()) == (0, ["ID\tUPDATED\tPROVIDER\tTURNS\tTITLE"])
    assert not (tmp_path / "home").exists()


def test_turn_that_the_agent_began_is_not_shown_as_typed(caw: Caw) -> None:
    data = Path(caw.env["CAW_HOME"]) / "data"
    info = SessionInfo(session_id="own", provider="echo")
    turn = Turn(index=0, input="the build ended", origin="agent")
    JsonlStorage(data).persist_turn(info, turn)
    shown = caw("show", "own").out
    assert "(begun by the agent: the build ended)" in shown
    assert "> the build" not in shown
