"""Installing programs, with a stand-in for npm."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from caw_testkit.filelock import file_lock
from caw_testkit.programs import (
    Program,
    ProgramInstallError,
    UnknownProgramError,
    installed_program,
    pins,
    programs_dir,
)

if TYPE_CHECKING:
    from pathlib import Path

# It counts its calls in a file, and makes what claude's package makes.
GOOD_NPM = """#!/bin/sh
echo "$@" >> "$CALLS"
while [ "$1" != --prefix ]; do shift; done
sleep 0.3
mkdir -p "$2/node_modules/@anthropic-ai/claude-code/bin"
echo native > "$2/node_modules/@anthropic-ai/claude-code/bin/claude.exe"
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAW_PROGRAMS_DIR", str(tmp_path / "programs"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "programs"


def put_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(script)
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")


def install(_: int) -> Program:
    return installed_program("claude")


def test_every_version_is_pinned_exactly() -> None:
    assert set(pins()) == {"codex", "claude", "opencode"}
    for pin in pins().values():
        assert all(part.isdigit() for part in pin.version.split("."))


def test_processes_that_ask_at_once_install_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, GOOD_NPM)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        programs = pool.map(install, range(3), chunksize=1)
    [program] = set(programs)
    assert program.path.read_text() == "native\n"
    assert program.path.is_relative_to(folder / f"claude-{pins()['claude'].version}")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert not list(folder.glob("*.partial"))


def test_another_version_lies_beside_the_pinned_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, GOOD_NPM)
    program = installed_program("claude", version="9.9.9")
    assert program.version == "9.9.9"
    assert program.path.is_relative_to(folder / "claude-9.9.9")
    assert "@anthropic-ai/claude-code@9.9.9" in (tmp_path / "calls").read_text()


def test_what_a_killed_process_left_is_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, GOOD_NPM)
    left = folder / f".claude-{pins()['claude'].version}.partial" / "old"
    left.mkdir(parents=True)
    assert installed_program("claude").path.is_file()
    assert not left.exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'E404 not found' >&2\nexit 3\n", "exit code 3\nE404 not found"),
        ("#!/bin/sh\nexit 0\n", "holds no executable for this platform"),
        ("#!/bin/sh\necho begun\nexec sleep 30\n", "not done after 0.5 s\nbegun"),
    ],
)
def test_a_failed_installation_says_why_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    put_npm(tmp_path, monkeypatch, script)
    with pytest.raises(ProgramInstallError) as caught:
        installed_program("claude", timeout=0.5)
    assert words in str(caught.value)
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".lock")] == []
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


@pytest.mark.usefixtures("folder")
def test_a_missing_npm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProgramInstallError, match="npm was not found on PATH"):
        installed_program("claude")


def test_waiting_for_another_process_has_a_limit(folder: Path) -> None:
    folder.mkdir()
    lock = folder / f".claude-{pins()['claude'].version}.lock"
    with (
        file_lock(lock, timeout=0),
        pytest.raises(ProgramInstallError, match=r"still locked .* after 0\.2 s"),
    ):
        installed_program("claude", timeout=0.2)


def test_an_unknown_program_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownProgramError, match=r"'codx'.*codex, claude, opencode") as caught:
        installed_program("codx")
    assert pickle.loads(pickle.dumps(caught.value)).known == ("codex", "claude", "opencode")


def test_the_folder_is_the_users_cache_without_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CAW_PROGRAMS_DIR", raising=False)
    assert programs_dir().parts[-2:] == ("caw", "programs")
