"""The cassettes of the real programs, read with today's code; no program is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from click.testing import CliRunner

from caw_core.cli.root import cli
from caw_testkit.cassettes import CassetteError, read_cassette
from caw_testkit.cassettes.check import check_cassette
from caw_testkit.homes import API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_testkit.cassettes import Cassette
    from caw_testkit.cassettes.tape import Frame

TAPES = sorted((Path(__file__).parent / "tapes").glob("*.jsonl"))
CODEX = next(path for path in TAPES if path.name == "codex-tool.jsonl")
LARGEST = 60_000
"""So that the repository stays small, in bytes."""

each_tape = pytest.mark.parametrize("path", TAPES, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CAW_CLAUDE_CODE_PATH", "CAW_CODEX_PATH", "CAW_OPENCODE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))


def changed(cassette: Cassette, change: Callable[[Frame], Frame]) -> Cassette:
    return attrs.evolve(cassette, frames=tuple(map(change, cassette.frames)))


def replaced(kind: str, old: bytes, new: bytes) -> Callable[[Frame], Frame]:
    def change(frame: Frame) -> Frame:
        data = frame.data.replace(old, new) if frame.kind == kind else frame.data
        return attrs.evolve(frame, data=data)

    return change


def test_every_program_has_a_cassette_of_every_scenario() -> None:
    scenarios = ("denied", "failure", "interrupt", "permission", "resume", "text", "tool")
    wanted = {
        f"{name}-{each}" for name in ("claude_code", "codex", "opencode") for each in scenarios
    }
    assert {path.stem for path in TAPES} == wanted


@each_tape
def test_turns_are_those_of_the_recording(path: Path) -> None:
    report = check_cassette(read_cassette(path))
    assert (report.error, report.not_understood, report.differs) == ("", (), ())
    assert report.turns == len(read_cassette(path).turns) > 0


@each_tape
def test_cassette_is_small_and_holds_nothing_of_the_machine(path: Path) -> None:
    text = path.read_text()
    assert len(text) < LARGEST
    assert [word for word in (API_KEY, "/tmp/", "/root", "/home/") if word in text] == []


def test_cassette_reads_as_it_was_written() -> None:
    cassette = read_cassette(CODEX)
    documents = [cassette.header.document(), *(frame.document() for frame in cassette.frames)]
    assert documents == [json.loads(line) for line in CODEX.read_text().splitlines()]


def test_what_is_no_longer_understood_is_named() -> None:
    renamed = replaced("agent", b'"type":"commandExecution"', b'"type":"commandRun"')
    report = check_cassette(changed(read_cassette(CODEX), renamed))
    assert not report.ok
    assert any("commandRun" in line for line in report.not_understood)


def test_turn_that_is_folded_otherwise_is_told_with_its_place() -> None:
    report = check_cassette(changed(read_cassette(CODEX), replaced("agent", b"apple", b"pear")))
    assert any("$.turns[0].output" in line and "pear" in line for line in report.differs)


def test_message_that_the_cassette_does_not_have_is_told_with_its_line() -> None:
    other = replaced("client", b'"turn/start"', b'"turn/begin"')
    cassette = changed(read_cassette(CODEX), other)
    line = next(frame.number for frame in cassette.frames if b"turn/begin" in frame.data)
    report = check_cassette(cassette)
    (told,) = [each for each in report.differs if "CassetteMismatchError" in each]
    assert "turn/start" in told
    assert f"line {line}" in report.mismatch


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no cassette"),
        ("{}\n", "is no cassette"),
        ('{"caw_cassette": 99}\n', "another version"),
        ('{"caw_cassette": 1, "provider": "x"}\n{"at": 0}\n', "no whole cassette"),
    ],
)
def test_file_that_is_none_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "none.jsonl"
    file.write_text(text)
    with pytest.raises(CassetteError, match=why):
        read_cassette(file)


# ------------------------------------------------------------------------------- the command line


def caw(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(cli, ["cassette", *arguments])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_command_checks_cassettes() -> None:
    code, (report,) = caw("check", "--json", str(CODEX))
    assert code == 0
    assert report["ok"]
    assert (report["cassette"], report["turns"]) == ("codex-tool.jsonl", 1)


def test_command_fails_where_one_differs(tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    lines = CODEX.read_text().splitlines(keepends=True)
    said = '"kind":"agent"'
    file.write_text("".join(x.replace("apple", "pear") if said in x else x for x in lines))
    code, reports = caw("check", "--json", str(CODEX), str(file))
    assert code == 1
    assert [report["ok"] for report in reports] == [True, False]


def test_command_shows_a_cassette() -> None:
    code, (head, *frames) = caw("show", "--json", str(CODEX))
    assert code == 0
    assert (head["type"], head["provider"]) == ("cassette", "codex")
    assert len(frames) == len(read_cassette(CODEX).frames)


def test_help_lists_the_command_without_importing_it() -> None:
    assert "cassette" in CliRunner().invoke(cli, ["--help"]).stdout


def test_command_of_a_blocked_distribution_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_DISABLE_PLUGINS", "caw-testkit")
    result = CliRunner().invoke(cli, ["cassette", "--help"])
    assert result.exit_code == 2
