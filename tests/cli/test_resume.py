"""``caw resume``: how sessions are named, and what they remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core import Agent

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw


def new_session(caw: Caw, *arguments: str) -> str:
    last = caw("run", "--json", "-p", "echo", *arguments, "first").lines[-1]
    return str(last["session_id"])


@pytest.mark.parametrize("length", [4, 8, 36])
def test_an_id_or_its_beginning_resumes_with_the_history(caw: Caw, length: int) -> None:
    session_id = new_session(caw)
    result = caw("resume", session_id[:length], "!history")
    assert (result.code, result.out) == (0, "first\n!history\n")


def test_last_is_the_session_written_last(caw: Caw) -> None:
    new_session(caw)
    second = new_session(caw)
    assert caw("resume", "last", "--json", "again").lines[-1]["session_id"] == second


def test_what_is_not_given_stays_as_it_was(caw: Caw) -> None:
    new_session(caw, "-m", "big", "--system", "be kind")
    seen = caw("resume", "last", "--json", "!request").lines[-1]
    assert '"model": "big"' in seen["result"]
    assert '"system_prompt": "be kind"' in seen["result"]


@pytest.mark.parametrize("way", ["argument", "stdin", "variable"])
def test_a_handle_resumes_without_a_record(caw: Caw, tmp_path: Path, way: str) -> None:
    file = tmp_path / "handle"
    session_id = new_session(caw, "--no-record", "--save-handle", str(file))
    handle = file.read_text()
    given = handle.strip() if way == "argument" else "-"
    env = {"CAW_RESUME_HANDLE": handle} if way == "variable" else {}
    result = caw(
        "resume",
        given,
        "more",
        "--no-record",
        "--json",
        stdin=handle if way == "stdin" else None,
        **env,
    )
    assert result.code == 0
    assert result.lines[-1]["session_id"] == session_id
    assert result.lines[-1]["result"] == "echo: more"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("0000", "there is no session '0000'"),
        ("ab", "at least 4 characters"),
        ("../../etc", "there is no session"),
        ('{"version": 99}', "version 99"),
        ("{", "not valid JSON"),
    ],
)
def test_what_names_no_session_is_code_2(caw: Caw, name: str, problem: str) -> None:
    result = caw("resume", name, "hi")
    assert result.code == 2
    assert problem in result.err


def test_the_beginning_of_two_ids_is_refused_and_names_both(caw: Caw, tmp_path: Path) -> None:
    agent = Agent("echo", data_dir=tmp_path)
    for name in ("same-one", "same-two"):
        with agent.start_session(session_id=name) as session:
            session.send("hi")
    result = caw("resume", "same", "hi", "--data-dir", str(tmp_path))
    assert result.code == 2
    assert "same-one" in result.err
    assert "same-two" in result.err


def test_a_session_of_another_provider_is_refused(caw: Caw) -> None:
    new_session(caw)
    result = caw("resume", "last", "hi", "-p", "local")
    assert result.code == 2
    assert "'echo'" in result.err


@pytest.mark.parametrize("way", ["stdin", "variable"])
def test_what_is_no_handle_is_refused_and_not_repeated(caw: Caw, way: str) -> None:
    env = {"CAW_RESUME_HANDLE": "junk"} if way == "variable" else {}
    result = caw("resume", "-", "hi", stdin="junk" if way == "stdin" else None, **env)
    where = "in CAW_RESUME_HANDLE" if way == "variable" else "on stdin"
    assert result.code == 2
    assert f"what is {where} is no resume handle" in result.err
    assert "junk" not in result.err
