"""What the command line accepts, before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from caw_core.cli.exit_codes import MEANINGS
from caw_core.cli.root import COMMANDS, cli

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments), input=stdin)
    return result.exit_code, result.output


def test_help_lists_every_command_and_exit_code() -> None:
    code, text = run("--help")
    assert code == 0
    assert all(f"  {name} " in text for name in COMMANDS)
    assert all(f"  {number} " in text for number in MEANINGS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    code, text = run(name, "--help")
    assert code == 0
    assert text.startswith(f"Usage: cli {name}")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_neither_plugins_nor_what_only_commands_need(argument: str) -> None:
    program = (
        "import sys\n"
        "from caw_core.cli import main\n"
        f"sys.argv = ['caw', {argument!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'attrs', 'attr', 'rich', 'cattrs', 'pluggy', 'asyncio', 'platformdirs'}\n"
        "heavy |= {m for m in sys.modules if m.startswith(('caw_provider', 'caw_storage'))}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert run("--version") == (0, f"caw, version {version('caw-core')}\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["run", "hi", "--modle", "x"], "--modle"),
        (["run", "hi", "--permissions", "all"], "'read-only', 'ask', 'auto-edit', 'full'"),
        (["run", "hi", "--timeout", "0"], "--timeout"),
        (["run", "hi", "-p", "echo", "--option", "novalue"], "KEY=VALUE"),
        (["run", "hi", "--no-record", "--data-dir", "x"], "--no-record excludes"),
        (["run", "   "], "the prompt is empty"),
        (["run", "-"], "the prompt is empty"),
        (["resume", "-"], "there is no prompt"),
        (["sessions", "--limit", "0"], "--limit"),
        (["sessions", "-p", ""], "names no provider"),
        (["sessions", "--data-dir", ""], "name is empty"),
        (["run", "hi", "-p", ""], "names no provider"),
        (["run", "hi", "-p", " , "], "names no provider"),
        (["run", "hi", "--data-dir", ""], "name is empty"),
        (["run", "hi", "--save-handle", ""], "name is empty"),
        (["run", "hi", "--save-handle", "/dev/null/x"], "there is no folder '/dev/null'"),
    ],
)
def test_a_wrong_command_line_is_code_2_and_says_why(arguments: list[str], problem: str) -> None:
    code, text = run(*arguments)
    assert code == 2
    assert problem in text


def test_two_sources_of_one_text_exclude_each_other(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("words")
    code, text = run("run", "hi", "--prompt-file", str(file))
    assert (code, "exclude each other" in text) == (2, True)
    code, text = run("run", "hi", "-p", "echo", "--system", "a", "--system-file", str(file))
    assert (code, "exclude each other" in text) == (2, True)


def test_a_prompt_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_bytes(b"\xff\xfe")
    code, text = run("run", "--prompt-file", str(file))
    assert code == 2
    assert "not UTF-8" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_names_every_command_and_option(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert f"`caw {name}" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert f"`{flag}" in page or f" {flag}" in page, flag
