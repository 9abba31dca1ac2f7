"""Displays on a real terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from caw_testkit.terminal import Terminal

HOST = Path(__file__).with_name("host.py")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a program under test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CAW_", "COLUMNS", "LINES"))}
    kept.pop("NO_COLOR", None)
    return {**kept, "CAW_HOME": str(tmp_path / "home"), "PYTHONWARNINGS": "default"}


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[str], None]:
    """Return what opens a named pipe, by which a step ``wait`` comes to its end."""

    def opened(name: str) -> None:
        with (tmp_path / name).open("w"):
            pass

    for name in ("one", "two", "three"):
        os.mkfifo(tmp_path / name)
    return opened


@pytest.fixture
def host(
    tmp_path: Path, environment: dict[str, str], gate: Callable[[str], None]
) -> Iterator[Callable[..., Terminal]]:
    """Return what starts ``host.py`` on a terminal of its own."""
    from caw_testkit.terminal import Terminal

    with ExitStack() as opened:

        def start(*arguments: str, env: Any = None, **size: int) -> Terminal:
            argv = [sys.executable, str(HOST), *arguments]
            return opened.enter_context(
                Terminal(argv, cwd=tmp_path, env={**environment, **(env or {})}, **size)
            )

        yield start
