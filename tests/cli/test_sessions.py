"""What ``caw sessions`` does with records, and ``caw watch`` with a session that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent

if TYPE_CHECKING:
    from .conftest import Caw


def data(caw: Caw) -> Path:
    return Path(caw.env["CAW_HOME"]) / "data"


def url(folder: Path) -> str:
    return folder.absolute().as_uri().replace("file:", "jsonl:", 1)


@pytest.fixture
def three(caw: Caw) -> list[str]:
    """Three sessions, the newest first."""
    for number in (1, 2, 3):
        agent = Agent("echo", data_dir=data(caw), metadata={"number": number})
        with agent.start_session(session_id=f"session-{number}") as session:
            session.send(f"prompt {number}")
            session.send('!tool shell {"command": "ls"} => out\n!think hm\nbye')
    return ["session-3", "session-2", "session-1"]


def ids(caw: Caw, *options: str) -> list[str]:
    lines = caw("sessions", "--json", *options).lines
    return [line["session_id"] for line in lines if line["type"] == "session"]


def test_list_is_of_what_was_asked_for(caw: Caw, three: list[str]) -> None:
    assert ids(caw, "--metadata", "number=2") == ["session-2"]
    assert ids(caw, "--metadata", 'number="2"') == []
    assert ids(caw, "--status", "completed") == three
    assert ids(caw, "--status", "failed") == []
    assert ids(caw, "--since", "1h") == three
    assert ids(caw, "--until", "1h") == []
    assert ids(caw, "--cwd", ".") == three
    assert ids(caw, "--cwd", "/") == []


def test_tags_are_set_and_found(caw: Caw, three: list[str]) -> None:
    assert caw("sessions", "annotate", "session-2", "--tag", "good", "--tag", "x").code == 0
    assert ids(caw, "--tag", "good") == ["session-2"]
    assert caw("sessions", "annotate", "session-2", "--metadata", "k=v").code == 0
    assert ids(caw, "--tag", "good", "--metadata", "k=v") == ["session-2"]
    assert caw("sessions", "annotate", "session-2", "--no-tags").code == 0
    assert ids(caw, "--tag", "good") == []
    both = caw("sessions", "annotate", three[0], "--no-tags", "--tag", "x")
    assert both.code == 2


def test_words_are_searched(caw: Caw, three: list[str]) -> None:
    result = caw("sessions", "search", "PROMPT", "2")
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert rows == [["ID", "TURN", "TEXT"], ["session-2", "0", "prompt 2 echo: prompt 2"]]
    first = caw("sessions", "search", "prompt", "--limit", "2", "--json").lines
    rest = caw("sessions", "search", "prompt", "--cursor", first[-1]["next_cursor"], "--json").lines
    found = [line["session_id"] for line in (*first[:-1], *rest[:-1])]
    assert sorted(found) == sorted(three)


def test_sessions_are_deleted_by_name(caw: Caw, three: list[str]) -> None:
    assert caw("sessions", "delete", "last", "session-1").code == 0
    assert ids(caw) == ["session-2"]
    assert caw("sessions", "delete", "session-1").code == 2
    assert ids(caw) == three[1:2]


def test_prune_says_first_and_does_then(caw: Caw, three: list[str]) -> None:
    dry = caw("sessions", "prune", "--keep", "1", "--dry-run")
    assert (dry.code, dry.out.split(), dry.err) == (0, three[1:], "2 would be deleted\n")
    assert ids(caw) == three
    assert caw("sessions", "prune", "--older-than", "1d").out == ""
    lines = caw("sessions", "prune", "--keep", "1", "--json").lines
    assert [line["session_id"] for line in lines] == three[1:]
    assert ids(caw) == three[:1]
    assert caw("sessions", "prune").code == 2


def test_copy_is_told_and_goes_on(caw: Caw, three: list[str], tmp_path: Path) -> None:
    there = ("--from", url(data(caw)), "--to", url(tmp_path / "copy"))
    one = caw("sessions", "copy", "session-2", *there)
    assert (one.code, one.err) == (0, "1 copied\n")
    rest = caw("sessions", "copy", *there, "--json")
    assert (rest.code, rest.err) == (0, "2 copied, 1 same\n")
    assert {line["session_id"] for line in rest.lines} == set(three)
    assert len(ids(caw, "--storage", url(tmp_path / "copy"))) == 3


def test_copy_that_is_not_whole_is_code_6(caw: Caw, three: list[str], tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with Agent("echo", data_dir=target).start_session(session_id=three[0]) as session:
        session.send("another")
    result = caw("sessions", "copy", "--from", url(data(caw)), "--to", url(target))
    assert result.code == 6
    assert "session-3: differs" in result.err
    assert "1 of 3 sessions were not copied" in result.err


def test_repair_gives_mirrors_what_they_lack(caw: Caw, three: list[str], tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    for name in (three[0], "only-here"):
        with Agent("echo", data_dir=mirror).start_session(session_id=name) as session:
            session.send("another")
    result = caw("sessions", "repair", "--from", url(data(caw)), "--to", url(mirror))
    assert result.code == 0
    assert result.err == "3 copied\nonly-here: only the mirror has it\n"
    shown = caw("show", three[0], "--json", "--storage", url(mirror)).lines[0]
    assert shown["turns"][0]["input"] == "prompt 3"


@pytest.mark.parametrize("form", ["caw", "atif"])
def test_record_goes_out_and_comes_in_again(
    caw: Caw, three: list[str], tmp_path: Path, form: str
) -> None:
    file = tmp_path / "record.json"
    assert caw("sessions", "export", three[0], "-f", form, "-o", str(file)).code == 0
    busy = caw("sessions", "import", str(file))
    assert (busy.code, "already" in busy.err) == (2, True)
    other = url(tmp_path / "other")
    assert caw("sessions", "import", str(file), "--storage", other).out == f"{three[0]}\n"
    before = caw("show", three[0], "--json").lines[0]
    assert caw("show", three[0], "--json", "--storage", other).lines[0] == before
    again = caw("sessions", "import", str(file), "--session-id", "again")
    assert again.out == "again\n"
    assert ids(caw)[0] == "again"


def test_key_that_resumes_is_in_no_export(caw: Caw, three: list[str]) -> None:
    key = json.loads(
        (data(caw) / "sessions" / three[0] / "trajectory.json").read_text(encoding="utf-8")
    )["resume_key"]
    for form in ("caw", "atif", "markdown", "html"):
        result = caw("sessions", "export", three[0], "-f", form)
        assert result.code == 0
        assert f'"resume_key": "{key}"' not in result.out
        assert "prompt 3" in result.out


def test_file_that_is_no_record_is_code_6(caw: Caw, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    for text in (
        "",
        "[]",
        "{}",
        '{"turns": [3]}',
        '{"version": 99}',
        '{"schema_version": "ATIF-v9"}',
    ):
        file.write_text(text, encoding="utf-8")
        result = caw("sessions", "import", str(file))
        assert result.code == 6, text
        assert "Traceback" not in result.err


def test_document_is_read_from_stdin(caw: Caw, three: list[str], tmp_path: Path) -> None:
    document = caw("sessions", "export", three[0]).out
    result = caw("sessions", "import", "-", "--data-dir", str(tmp_path), stdin=document)
    assert (result.code, result.out) == (0, f"{three[0]}\n")


def test_document_with_an_id_that_none_may_have_is_code_2(caw: Caw, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text('{"session_id": "../up", "turns": []}', encoding="utf-8")
    result = caw("sessions", "import", str(file))
    assert result.code == 2
    assert "session_id: at most 128 letters" in result.err


def test_nothing_found_is_said(caw: Caw, three: list[str]) -> None:
    assert "no session found" in caw("sessions", "--tag", "none").err
    assert "no turn found" in caw("sessions", "search", "nowhere").err


def test_annotation_of_nothing_is_code_2(caw: Caw, three: list[str]) -> None:
    result = caw("sessions", "annotate", three[0])
    assert result.code == 2
    assert "nothing to change" in result.err


def test_session_that_is_named_twice_is_deleted_once(caw: Caw, three: list[str]) -> None:
    result = caw("sessions", "delete", "last", three[0])
    assert result.err.count("deleted") == 1


def test_repair_goes_on_after_a_mirror_that_fails(
    caw: Caw, three: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    good = url(tmp_path / "good")
    bad = url(tmp_path / "file")
    result = caw("sessions", "repair", "--from", url(data(caw)), "--to", bad, "--to", good)
    assert result.code == 6
    assert "1 of 2 mirrors are not repaired" in result.err
    assert "--no-record" not in result.err
    assert ids(caw, "--storage", good) == three


def test_last_of_records_that_cannot_be_read_is_no_missing_session(caw: Caw) -> None:
    caw("run", "-p", "echo", "hi")
    (folder,) = (data(caw) / "sessions").iterdir()
    (folder / "traj.jsonl").write_bytes(b"{}\n")
    (folder / "trajectory.json").write_bytes(b"{}")
    result = caw("show", "last")
    assert result.code == 6
    assert "no session can be read" in result.err


def test_repair_leaves_what_a_mirror_has_more(caw: Caw, three: list[str], tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    there = ("--from", url(data(caw)), "--to", url(mirror))
    assert caw("sessions", "repair", *there).code == 0
    with Agent("echo", data_dir=mirror).resume_session(three[0]) as session:
        session.send("said after the primary was backed up")
    result = caw("sessions", "repair", *there)
    assert result.code == 6
    assert "session-3: differs: the target has 1 turns that the source lacks" in result.err
    assert "said after" in caw("show", three[0], "--storage", url(mirror)).out


def test_storage_can_come_from_the_environment(caw: Caw, three: list[str], tmp_path: Path) -> None:
    other = {"CAW_STORAGE": f"{url(tmp_path / 'a')} {url(tmp_path / 'b')}"}
    assert caw("run", "-p", "echo", "hi", **other).code == 0
    assert len(list((tmp_path / "a" / "sessions").iterdir())) == 1
    assert len(list((tmp_path / "b" / "sessions").iterdir())) == 1
    assert len(caw("sessions", "--json", **other).lines) == 2
    shown = caw("sessions", "--json", "--data-dir", str(data(caw)), **other).lines
    assert len(shown) == 1 + len(three)


def test_exported_file_is_its_owners_alone(caw: Caw, three: list[str], tmp_path: Path) -> None:
    file = tmp_path / "record.html"
    assert caw("sessions", "export", three[0], "-f", "html", "-o", str(file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
