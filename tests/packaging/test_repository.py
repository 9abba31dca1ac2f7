"""What must not be in the repository."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[str, ...]:
    """Name every file that git has or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no git checkout")
    return tuple(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())


def lines_with(pattern: str) -> list[str]:
    search = re.compile(pattern.encode())
    return [
        f"{name}:{number}: {line[:200]!r}"
        for name in files()
        for number, line in enumerate((ROOT / name).read_bytes().split(b"\n"), start=1)
        if search.search(line)
    ]


def test_no_lock_file_is_kept() -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "package-lock.json", "npm-shrinkwrap.json"}
    assert [name for name in files() if Path(name).name in locks] == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = "pypi|pythonhosted|npmjs|debian"
    assert lines_with(rf"\b({hosts})\.(com|org)\b") == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    # /home/user and the like may stand in examples. Put together here, or this file had them.
    folders = ["/wo" + r"rk/\w", "/ro" + r"ot/\w", "/Use" + r"rs/\w", "/tm" + "p/(dev|exp|bash)"]
    assert lines_with("|".join(folders)) == []


def test_checkout_does_not_appear_in_any_file() -> None:
    assert lines_with(re.escape(f"{ROOT}/")) == []
