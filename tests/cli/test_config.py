"""``caw config``: which model a tier means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Caw


def file_of(caw: Caw) -> Path:
    return Path(caw.env["CAW_HOME"]) / "config.json"


def test_model_is_set_shown_and_unset_under_the_providers_own_name(caw: Caw) -> None:
    done = caw("config", "set", "cc", "fast", "some-model")
    assert (done.code, done.out) == (0, "claude_code fast = some-model\n")
    assert done.err == f"written to {file_of(caw)}\n"
    assert caw("config", "get", "claude", "fast").out == "some-model\n"
    assert caw("config", "show", "claude").out.splitlines() == [
        "PROVIDER\tTIER\tMODEL\tFROM",
        "claude_code\tstrongest\topus\tthe provider",
        f"claude_code\tfast\tsome-model\t{file_of(caw)}",
    ]
    assert caw("config", "unset", "cc", "fast").code == 0
    assert caw("config", "get", "claude", "fast").out == "haiku\n"
    assert "says nothing" in caw("config", "unset", "cc", "fast").err


def test_variable_that_comes_before_the_file_is_named(caw: Caw) -> None:
    done = caw("config", "set", "claude", "strongest", "mine", ANTHROPIC_MODEL="theirs")
    assert "ANTHROPIC_MODEL is set, and comes first: theirs" in done.err
    shown = caw("config", "show", "claude", "--json", CAW_MODEL_CLAUDE_CODE_FAST="f").lines
    assert [(line["tier"], line["model"], line["source"], line["origin"]) for line in shown] == [
        ("strongest", "mine", "file", str(file_of(caw))),
        ("fast", "f", "environment", "CAW_MODEL_CLAUDE_CODE_FAST"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("set", "codx", "fast", "m"), 3, "Did you mean 'codex'?"),
        (("set", "codex", "fsat", "m"), 2, "did you mean 'fast'?"),
        (("set", "codex", "fast", ""), 2, "empty"),
        (("set", "codex", "fast", "--", "--yolo"), 2, "begin with '-'"),
        (("set", "codex", "fast", "a\x1b[2J"), 2, "control characters"),
        (("get", "opencode", "fast"), 2, "caw config set opencode fast MODEL"),
        (("unset", "codex", "fsat"), 2, "did you mean 'fast'?"),
    ],
)
def test_what_makes_no_sense_is_refused(
    caw: Caw, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = caw("config", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "\x1b" not in done.err
    assert not file_of(caw).exists()


def test_check_names_the_place_of_a_mistake_and_what_has_no_effect(caw: Caw) -> None:
    assert "there is no" in caw("config", "check").err
    file = file_of(caw)
    file.parent.mkdir()
    file.write_text(json.dumps({"models": {"codex": {"fast": 1}}}))
    done = caw("config", "check")
    assert (done.code, done.out) == (2, "")
    assert f"{file}: models.codex.fast: a model's name is text" in done.err
    models = {"claude": {"fast": "a"}, "cc": {"fast": "b"}, "elsewhere": {"fast": "c"}}
    file.write_text(json.dumps({"models": models}))
    done = caw("config", "check")
    assert (done.code, done.out) == (0, f"{file} can be used\n")
    assert done.err.splitlines() == [
        "elsewhere: no such provider is installed",
        "claude: the same provider as cc, which comes first",
    ]
    assert caw("config", "get", "claude_code", "fast").out == "b\n"


def test_what_is_set_comes_before_another_name_in_the_file(caw: Caw) -> None:
    file = file_of(caw)
    file.parent.mkdir()
    file.write_text(json.dumps({"models": {"cc": {"fast": "by-hand"}}}))
    caw("config", "set", "claude", "fast", "mine")
    assert caw("config", "get", "cc", "fast").out == "mine\n"
    caw("config", "unset", "claude", "fast")
    assert caw("config", "get", "cc", "fast").out == "haiku\n"


def test_wrappers_file_is_taken_over(caw: Caw, tmp_path: Path) -> None:
    home = tmp_path / "user"
    (home / ".caw").mkdir(parents=True)
    models = {"claude_code": {"fast": "theirs"}, "opencode": {"fast": "openai/theirs"}}
    (home / ".caw" / "config.json").write_text(json.dumps({"models": models}))
    caw("config", "set", "claude", "fast", "mine")
    done = caw("config", "import", HOME=str(home))
    assert done.out == "opencode fast = openai/theirs\n"
    assert done.err == "claude_code fast stays mine, not theirs\n"
    done = caw("config", "import", "--replace", HOME=str(home))
    assert caw("config", "get", "claude", "fast").out == "theirs\n"


def test_path_is_printed(caw: Caw, tmp_path: Path) -> None:
    named = str(tmp_path / "named.json")
    assert caw("config", "path", CAW_CONFIG=named).out == f"{named}\n"
