"""Reads the fenced blocks of a page, and runs them.

A block's info string says what it is: ``python`` runs as part of the page's script, with ``output``
in the block after it; ``… file=NAME`` is written to that file; ``console run`` holds commands after
``$``, each followed by what it prints; ``… norun: REASON`` is left alone. In what is expected,
``…`` stands for anything, and runs of blanks are alike.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"


@attrs.frozen
class Block:
    """One fenced block: its language, the rest of its info string, its text and its first line."""

    language: str
    info: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The file that the block is to be written to, or ``""``."""
        found = re.search(r"\bfile=(\S+)", self.info)
        return found[1] if found else ""


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    fence = re.compile(r"^```(\w*) *([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for found in fence.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(found[1], found[2].strip(), found[3], line)


def matches(expected: str, printed: str) -> bool:
    """Tell whether *printed* is what a page shows."""
    words = re.escape(" ".join(expected.split())).replace("…", ".*").replace(r"\ ", " ")
    return re.fullmatch(words, " ".join(printed.split()), re.DOTALL) is not None


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment for running a page: the user's caw settings do not count."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("CAW_")}
    return {**env, "CAW_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}


class Folder:
    """A reader's folder: writes the files of a page and types its commands in."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self.env = env

    def follow(self, page: Path) -> None:
        """Do what the page says, in order, and compare what it shows."""
        for block in blocks_of(page.read_text()):
            if "norun" in block.info:
                continue
            if block.file:
                file = self.path / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            elif block.info == "run":
                self._type(block, page)

    def _type(self, block: Block, page: Path) -> None:
        for command, expected in re.findall(
            r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE
        ):
            done = subprocess.run(
                ["bash", "-c", f'{command}\nstatus=$?; echo; echo "@$PWD"; exit $status'],
                cwd=self.path,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=500,
                check=False,
            )
            printed, _, folder = done.stdout.rstrip("\n").rpartition("@")
            self.path = Path(folder)
            where = f"{page.name}:{block.line}: $ {command}"
            assert done.returncode == 0, f"{where}\nprinted:\n{printed}"
            assert not expected or matches(expected, printed), f"{where}\nprinted:\n{printed}"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the distributions that pages install, as wheels built from this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    sources = [str(DOCS.parent), str(DOCS.parent / "plugins" / "caw-testkit")]
    subprocess.run([sys.executable, *build, *sources], check=True, timeout=120)
    names = ("caw-core", "caw-testkit")
    return {name: next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in names}


@pytest.fixture
def reader(tmp_path: Path, wheels: dict[str, Path]) -> Folder:
    """Return an empty folder in which ``pip install caw-core`` installs this checkout."""
    lines = [f"{name} @ {wheel.as_uri()}\n" for name, wheel in wheels.items()]
    (tmp_path / "constraints.txt").write_text("".join(lines))
    env = clean_environment(tmp_path / "home")
    home = tmp_path / "work"
    home.mkdir()
    env["PIP_CONSTRAINT"] = str(tmp_path / "constraints.txt")
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PYTHONPATH"] = ""
    return Folder(home, env)
