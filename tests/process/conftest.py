"""Real programs for the tests of the process engine: small Python scripts, ended after each."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from caw_core.process import Process, ProcessExit, child_environment
from caw_core.process.group import Listing, ps_listing

WAIT = 30.0


class Program:
    """A Python program under the engine, with what it said."""

    def __init__(self, code: str, cwd: Path, *args: str, **options: Any) -> None:
        self.lines: list[bytes] = []
        self.exits: list[ProcessExit] = []
        self.said = threading.Event()
        self.ended = threading.Event()
        self.process = Process(
            [sys.executable, "-u", "-c", code, *args],
            cwd=cwd,
            env=child_environment({}),
            on_line=self._line,
            on_exit=self._exit,
            **options,
        )

    def _line(self, line: bytes) -> None:
        self.lines.append(line)
        self.said.set()

    def _exit(self, process: Process) -> None:
        assert process.exit is not None
        self.exits.append(process.exit)
        self.ended.set()

    def pid_line(self) -> int:
        """Wait for the first line, which is a process id."""
        assert self.said.wait(WAIT)
        return int(self.lines[0])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of caw's own files, which nothing else uses."""
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))
    return tmp_path / "caw"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program from its code, its arguments, and options of the engine."""
    programs: list[Program] = []

    def start(code: str, *args: str, **options: Any) -> Program:
        programs.append(Program(code, tmp_path, *args, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait(WAIT)


@pytest.fixture
def gone() -> Callable[..., bool]:
    """Wait at most some seconds until a process is dead; a zombie nobody has fetched yet is."""

    def wait(pid: int, seconds: float = WAIT) -> bool:
        end = time.monotonic() + seconds
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            while process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > end:
                    return False
                time.sleep(0.01)  # it is no child of ours, so there is nothing else to wait for
        return True

    return wait


@pytest.fixture(params=["this system", "as on macOS"])
def listing(request: pytest.FixtureRequest) -> Listing | None:
    """Return how environments are read: None for this system's way, or by ``ps``."""
    if request.param == "this system":
        return None
    if shutil.which("ps") is None:
        pytest.skip("there is no ps")
    if sys.platform.startswith("linux"):
        # What macOS calls `ps -A -E -ww -o pid=,command=`.
        return functools.partial(ps_listing, ("ps", "axeww", "-o", "pid=,args="))
    return ps_listing
