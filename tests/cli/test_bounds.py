"""What the command line passes on: tools, folders, bounds, attachments; and what it asks live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

KEEPER = """
from caw_core import NativeSession, ProviderInfo, hookimpl
from caw_core.errors import AuthError

caw_api = "1.0"

@hookimpl
def provider_info():
    return ProviderInfo(name="keeper")

@hookimpl
def start_session(request):
    raise AuthError("log in first")

@hookimpl
def find_sessions(cwd):
    return [
        NativeSession(
            provider="keeper",
            resume_key=f"s3cret-{title}",
            cwd=str(cwd),
            title=title,
            updated_at="2026-01-02T03:04:05+00:00",
            path="/store/" + title,
        )
        for title in ("newest", "older")
    ]
"""


@pytest.fixture
def keeper(tmp_path: Path) -> str:
    """Return a folder for PYTHONPATH with a provider that has conversations and cannot answer."""
    folder = tmp_path / "plugins"
    info = folder / "a_keeper-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / "a_keeper.py").write_text(KEEPER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-keeper\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[caw.providers]\nkeeper = a_keeper\n")
    return str(folder)


def test_options_of_tools_and_bounds_reach_the_provider(caw: Caw, tmp_path: Path) -> None:
    options = ["--tools", "reader, Web", "--add-dir", str(tmp_path), "--max-turns", "7"]
    seen = json.loads(caw("run", "-p", "echo", *options, "!request").out)
    assert seen["tools"] == ["READER", "WEB"]
    assert seen["additional_dirs"] == [str(tmp_path)]
    assert seen["max_turns"] == 7


def test_tool_outside_the_groups_is_declined(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--tools", "no-interaction", "!tool ask_user\nafter")
    assert result.out == "echo: after\n"
    assert "there is no tool 'ask_user' in this session" in result.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tools", "shells"], "there is no group 'shells'; there are: all, exec, "),
        (["--tools", ","], "at least one group"),
        (["--max-turns", "0"], "--max-turns"),
        (["--budget-tokens", "0"], "--budget-tokens"),
        (["--budget-usd", "0"], "--budget-usd"),
        (["--keep-output", "9999"], "--keep-output"),
        (["--attach", "no-such-file"], "no-such-file"),
        (["--add-dir", "no-such-folder"], "no-such-folder"),
    ],
)
def test_bound_that_makes_no_sense_is_refused(caw: Caw, arguments: list[str], problem: str) -> None:
    result = caw("run", "-p", "echo", *arguments, "hi")
    assert (result.code, result.out) == (2, "")
    assert problem in result.err


def test_bound_on_calls_ends_the_turn_early(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--max-turns", "2", "!calls 5\nnever")
    assert (result.code, result.out) == (0, "")
    assert "the agent stopped early: max_turn_requests" in result.err


def test_budget_ends_the_turn_with_code_4(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--budget-tokens", "3", "before\n!calls 5\nnever")
    assert result.code == 4
    assert "budget is used up" in result.err


def test_budget_that_the_last_call_passes_leaves_the_turn_whole_and_refuses_the_next(
    caw: Caw,
) -> None:
    result = caw("run", "-p", "echo", "--budget-tokens", "1", "hello")
    assert (result.code, result.out) == (0, "echo: hello\n")
    result = caw("chat", "-p", "echo", "--budget-tokens", "1", stdin="one\ntwo\n")
    assert result.out.strip() == "echo: one"
    assert "budget is used up" in result.err


def test_output_that_is_not_kept_is_printed_all_the_same(caw: Caw) -> None:
    text = "word " * 20_000
    result = caw("run", "-p", "echo", "--keep-output", "10000", "-", stdin=text)
    assert len(result.out) > len(text)
    [turn] = json.loads(caw("show", "last", "--json").out)["turns"]
    [block] = turn["output"]
    assert len(block["text"]) < 10_000
    assert block["left_out"] > 90_000


def test_files_go_with_the_prompt(caw: Caw, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"123")
    (tmp_path / "b.txt").write_text("four")
    files = ["--attach", str(tmp_path / "a.png"), "--attach", str(tmp_path / "b.txt")]
    result = caw("run", "-p", "echo", "look", *files)
    assert result.out == "echo: look\n\na.png: image/png, 3 bytes\nb.txt: text/plain, 4 bytes\n"
    result = caw("resume", "last", "again", *files[:2])
    assert result.out == "echo: again\n\na.png: image/png, 3 bytes\n"


def test_show_tells_what_was_steered_in(caw: Caw, tmp_path: Path) -> None:
    with Agent("echo", data_dir=tmp_path).start_session() as session:
        stream = session.stream("one\n!slow 600")
        while next(iter(stream)).type != "text_done":
            pass
        session.steer("hurry up")
        stream.result()
    assert "\n> hurry up\n" in caw("show", "last", "--data-dir", str(tmp_path)).out


def test_doctor_asks_live_only_when_told_to(caw: Caw) -> None:
    result = caw("doctor", "--live", "-p", "echo")
    assert result.code == 0
    assert "asking echo for one word, which spends tokens" in result.err
    assert "ok echo answers 'echo: Reply with the single word: ok'" in result.out
    assert "echo answers" not in caw("doctor").out


def test_doctor_tells_what_came_instead_of_an_answer(caw: Caw, keeper: str) -> None:
    result = caw("doctor", "--live", "--json", "-p", "echo,keeper", PYTHONPATH=keeper)
    well, ill = result.lines[-2:]
    assert result.code == 1
    assert (well["type"], well["provider"], well["ok"]) == ("health", "echo", True)
    assert (ill["provider"], ill["ok"], ill["error"]["type"]) == ("keeper", False, "AuthError")
    plain = caw("doctor", "--live", "-p", "keeper", PYTHONPATH=keeper)
    assert "!! keeper does not answer: log in first" in plain.out


def test_live_question_needs_its_flag(caw: Caw) -> None:
    result = caw("doctor", "-p", "echo")
    assert (result.code, result.out) == (2, "")
    assert "--provider goes with --live" in result.err


def test_agents_own_conversations_are_listed_without_their_keys(
    caw: Caw, keeper: str, tmp_path: Path
) -> None:
    command = ("sessions", "--native", "-p", "keeper", "-C", str(tmp_path))
    rows = caw(*command, PYTHONPATH=keeper).out.splitlines()
    assert rows[0] == "UPDATED\tPROVIDER\tFOLDER\tTITLE"
    assert [row.split("\t")[1:] for row in rows[1:]] == [
        ["keeper", str(tmp_path), "newest"],
        ["keeper", str(tmp_path), "older"],
    ]
    result = caw(*command, "--json", "-n", "1", PYTHONPATH=keeper)
    (line,) = result.lines
    assert (line["title"], line["path"]) == ("newest", "/store/newest")
    assert "s3cret" not in result.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--native", "-p", "echo"], "the provider 'echo' cannot find sessions"),
        (["--native", "--cursor", "x"], "--native excludes"),
        (["--limit", "2", "prune", "--keep", "1"], "options of 'prune' stand behind its name"),
        (["--since", "yesterday"], "'yesterday' is no time; write 2d"),
    ],
)
def test_list_that_cannot_be_made_is_code_2(caw: Caw, arguments: list[str], problem: str) -> None:
    result = caw("sessions", *arguments)
    assert result.code == 2
    assert problem in result.err
