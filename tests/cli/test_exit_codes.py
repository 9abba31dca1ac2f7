"""Every exit code of the table, from a process that ends with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core.cli.exit_codes import MEANINGS

if TYPE_CHECKING:
    from .conftest import Caw

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("error", 1),
        ("crash", 1),
        ("model", 1),
        ("connection", 1),
        ("auth", 3),
        ("rate", 4),
        ("usage", 4),
        ("overloaded", 4),
    ],
)
def test_a_failed_turn_says_by_its_code_what_failed(caw: Caw, failure: str, code: int) -> None:
    result = caw("run", "-q", "--no-wait", "-p", "echo", f"before\n!fail {failure}")
    assert (result.code, result.out) == (code, "echo: before\n")
    assert result.err.startswith("caw: ")
    assert "Traceback" not in result.err


def test_debug_shows_where_it_failed(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "!fail error", CAW_DEBUG="1")
    assert result.code == 1
    assert "Traceback" in result.err


def test_a_deadline_is_5(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--timeout", "0.2", "!slow 600")
    assert result.code == 5
    assert "'turn' deadline of 0.2 s passed. Set --timeout to allow more." in result.err


def test_a_record_that_cannot_be_written_is_6(caw: Caw, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    result = caw("run", "-p", "echo", "--storage", f"jsonl://{file}/below", "hi")
    assert result.code == 6
    assert "--no-record goes on without a record" in result.err


def test_a_damaged_record_is_6_and_not_a_missing_session(caw: Caw, tmp_path: Path) -> None:
    caw("run", "-p", "echo", "--data-dir", str(tmp_path), "hi")
    (folder,) = (tmp_path / "sessions").iterdir()
    (folder / "traj.jsonl").write_bytes(b"\x00 no json\n" * 3)
    result = caw("resume", folder.name, "again", "--data-dir", str(tmp_path))
    assert result.code == 6
    assert "no session" not in result.err


def test_a_session_that_another_process_has_open_is_7(caw: Caw, tmp_path: Path) -> None:
    caw("run", "-p", "echo", "--data-dir", str(tmp_path), "hi")
    holder = caw.start("resume", "last", "--data-dir", str(tmp_path), "!notice holding\n!slow 600")
    assert holder.stderr is not None
    while "holding" not in holder.stderr.readline():
        assert holder.poll() is None
    result = caw("resume", "last", "again", "--data-dir", str(tmp_path))
    assert result.code == 7


def test_a_reader_that_goes_away_is_141_and_no_traceback(caw: Caw) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = caw.start("run", "-p", "echo", "hello\n!slow 600", stdout=write_end)
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert "Traceback" not in err
    assert "Broken" not in err


def test_a_list_whose_reader_goes_away_is_141(caw: Caw) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = caw.start("plugins", stdout=write_end)
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_turn_and_session_in_order(caw: Caw, number: int, code: int) -> None:
    process = caw.start("run", "-p", "echo", "!notice started\n!slow 600")
    assert process.stderr is not None
    while "started" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait(60) == code
    (record,) = caw("show", "last", "--json").lines
    assert record["turns"][0]["status"] == "interrupted"
    assert record["completed_at"]


def test_the_page_has_the_same_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        assert f"| {code} | {meaning} |" in page
