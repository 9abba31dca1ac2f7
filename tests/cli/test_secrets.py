"""What is printed of records that another wrapper wrote, and of those of caw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

KEYS = {"thread_id": "k-1", "opencode_session_id": "k-2", "resume_key": "k-3"}
SERVERS = [
    {"name": "stdio", "command": "serve", "env": {"TOKEN": "k-4"}},
    {"name": "http", "url": "http://127.0.0.1:1", "headers": {"Authorization": "k-5"}},
]


def wrapper_record(**more: Any) -> dict[str, Any]:
    return {
        "agent": "codex",
        "model": "",
        "session_id": "old-one",
        "created_at": "2026-01-01T00:00:00+00:00",
        "mcp_servers": SERVERS,
        "metadata": {"job": "nightly", **KEYS},
        "turns": [],
        **more,
    }


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A folder with a record of the existing wrapper, with a subagent's in it."""
    folder = tmp_path / "old" / "sessions" / "old-one"
    folder.mkdir(parents=True)
    call = {"type": "tool_use", "id": "1", "name": "task", "arguments": {}, "output": ""}
    turn = {"output": [{**call, "subagent_trajectory": wrapper_record()}], "input": "hi"}
    record = wrapper_record(turns=[turn])
    (folder / "trajectory.json").write_text(json.dumps(record))
    return str(tmp_path / "old")


@pytest.mark.parametrize(
    "command",
    [("sessions",), ("show", "old-one"), ("show", "old-one", "--turn", "0")],
)
def test_no_secret_of_an_older_record_is_printed(
    caw: Caw, old: str, command: tuple[str, ...]
) -> None:
    result = caw(*command, "--json", "--data-dir", old)
    assert result.code == 0
    assert "k-" not in result.out
    if "--turn" in command:
        assert "subagent_trajectory" in result.out
    else:
        assert result.lines[0]["metadata"] == {"job": "nightly"}
        assert result.lines[0]["mcp_servers"][0]["env"] == {"TOKEN": "…"}
        assert result.lines[0]["mcp_servers"][1]["headers"] == {"Authorization": "…"}


def test_bidi_controls_of_a_record_do_not_reach_the_screen(caw: Caw) -> None:
    caw("run", "-p", "echo", "safe \u202egpj.exe\u2066 text")
    for shown in (caw("show", "last").out, caw("sessions").out):
        assert "safe" in shown
        assert not {"\u202e", "\u2066"} & set(shown)
