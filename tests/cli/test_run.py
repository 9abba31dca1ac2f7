"""``caw run``: what goes to stdout, what to stderr, and what is kept."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

TOOL = '!tool shell {"command": "ls"} => one\n'


def test_stdout_holds_the_answer_and_nothing_else(caw: Caw) -> None:
    result = caw("run", "-p", "echo", f"!think hm\n{TOOL}!notice careful\nhello")
    assert (result.code, result.out) == (0, "echo: hello\n")
    for words in ("thinking: hm", "• shell ls", "  one", "careful", "resume with: caw resume "):
        assert words in result.err


def test_texts_around_a_tool_call_are_paragraphs(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--system", "be kind", f"!system\n{TOOL}hello")
    assert result.out == "be kind\n\necho: hello\n"


def test_quiet_leaves_stderr_empty(caw: Caw) -> None:
    result = caw("run", "-q", "-p", "echo", f"!think hm\n{TOOL}hello")
    assert (result.out, result.err) == ("echo: hello\n", "")


def test_no_stream_prints_the_last_words_alone(caw: Caw) -> None:
    result = caw("run", "--no-stream", "-p", "echo", "--system", "first", f"!system\n{TOOL}hello")
    assert result.out == "echo: hello\n"


@pytest.mark.parametrize("argument", [[], ["-"]])
def test_the_prompt_can_come_on_stdin_verbatim(caw: Caw, argument: list[str]) -> None:
    result = caw("run", "-p", "echo", *argument, stdin="  two\n  lines ü\n")
    assert result.out == "echo:   two\n  lines ü\n"


def test_the_prompt_can_come_from_a_file(caw: Caw, tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_text("from a file\n")
    assert caw("run", "-p", "echo", "--prompt-file", str(file)).out == "echo: from a file\n"


def test_text_is_there_before_the_turn_ends(caw: Caw) -> None:
    process = caw.start("run", "-p", "echo", "early\n!slow 600")
    assert process.stdout is not None
    assert process.stdout.read(len("echo: early")) == "echo: early"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


def test_json_is_one_event_per_line_and_the_turn_at_the_end(caw: Caw) -> None:
    result = caw("run", "--json", "-p", "echo", f"{TOOL}hello")
    types = [line["type"] for line in result.lines]
    assert types[0] == "turn_started"
    assert types[-2:] == ["turn_ended", "result"]
    assert "text_delta" not in types
    last = result.lines[-1]
    assert last["result"] == "echo: hello"
    assert (last["status"], last["exit_code"], last["provider"]) == ("completed", 0, "echo")
    assert [block["type"] for block in last["output"]] == ["tool_use", "text"]


def test_json_with_stream_has_the_deltas(caw: Caw) -> None:
    lines = caw("run", "--json", "--stream", "-p", "echo", "one two").lines
    said = "".join(line["text"] for line in lines if line["type"] == "text_delta")
    assert said == "echo: one two"


def test_json_of_a_failed_turn_ends_with_the_turn_and_its_error(caw: Caw) -> None:
    result = caw(
        "run", "--no-wait", "--json", "-p", "echo", "before\n!fail usage 2030-01-01T00:00:00+00:00"
    )
    last = result.lines[-1]
    assert (result.code, last["type"], last["status"], last["exit_code"]) == (
        4,
        "result",
        "failed",
        4,
    )
    assert last["error"]["type"] == "LimitError"
    assert last["error"]["data"]["resets_at"] == "2030-01-01T00:00:00+00:00"
    assert last["result"] == "echo: before"


def test_json_of_what_never_began_is_an_error_line(caw: Caw) -> None:
    result = caw("run", "--json", "-p", "nobody", "hi")
    assert result.code == 3
    assert [line["type"] for line in result.lines] == ["error"]
    assert result.lines[0]["error"]["type"] == "UnknownProviderError"


def test_options_reach_the_provider(caw: Caw, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.write_text("be brief")
    options = ["-m", "big", "--system-file", str(system), "-C", str(tmp_path)]
    options += ["--permissions", "read-only", "--max-tokens", "400", "-o", "directives=true"]
    seen = json.loads(caw("run", "-p", "echo", *options, "!request").out)
    assert seen["model"] == "big"
    assert seen["system_prompt"] == "be brief"
    assert seen["cwd"] == str(tmp_path)
    assert seen["permissions"] == "read-only"
    assert seen["max_tokens"] == 400
    assert seen["options"] == {"directives": True}


def test_an_option_without_effect_is_told_and_strict_refuses_it(caw: Caw) -> None:
    told = caw("run", "-p", "echo", "--effort", "high", "hi")
    assert told.code == 0
    assert "reasoning has no effect with echo" in told.err
    refused = caw("run", "-p", "echo", "--effort", "high", "--strict", "hi")
    assert (refused.code, refused.out) == (2, "")
    assert "cannot honour reasoning" in refused.err


def test_an_early_stop_is_told(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "--max-tokens", "2", "one two three")
    assert result.code == 0
    assert "the agent stopped early: max_tokens" in result.err


def test_control_characters_pass_through_a_pipe_but_not_to_stderr(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "a\x1b[31mb\n!notice \x1b]0;title\x07")
    assert result.out == "echo: a\x1b[31mb\n"
    assert "\x1b" not in result.err


def test_the_record_can_be_elsewhere_or_nowhere(caw: Caw, tmp_path: Path) -> None:
    there = caw("run", "-p", "echo", "--data-dir", str(tmp_path / "there"), "hi")
    assert f"--data-dir {tmp_path / 'there'}" in there.err
    assert len(list((tmp_path / "there" / "sessions").iterdir())) == 1
    nowhere = caw("run", "-p", "echo", "--no-record", "hi")
    assert (nowhere.code, nowhere.out) == (0, "echo: hi\n")
    assert "resume with" not in nowhere.err
    assert not (tmp_path / "home").exists()


def test_without_the_default_storage_it_goes_on_and_says_so(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "hi", CAW_DISABLE_PLUGINS="jsonl")
    assert (result.code, result.out) == (0, "echo: hi\n")
    assert "no record is kept: caw-storage-jsonl is installed but blocked" in result.err


def test_the_handle_goes_to_a_file_for_its_owner_and_nowhere_else(caw: Caw, tmp_path: Path) -> None:
    file = tmp_path / "handle"
    file.write_text("old")
    file.chmod(0o644)
    result = caw("run", "--json", "-p", "echo", "--save-handle", str(file), "hi")
    handle = json.loads(file.read_text())
    assert handle["provider"] == "echo"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "resume_key" not in result.out + result.err
