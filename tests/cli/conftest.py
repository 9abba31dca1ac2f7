"""The command line as its users start it: a process of its own, on pipes or on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a test gives up; nothing here is measured by it."""

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Makes the terminal on stdin the one whose Ctrl-C the process gets."""


@attrs.frozen
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """A process whose stdin, stdout and stderr are one terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self._screen, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**env, "TERM": "xterm", "COLUMNS": "100"},
            start_new_session=True,
        )
        os.close(inner)
        self.seen = ""
        self._read_to = 0

    def read_until(self, text: str) -> None:
        """Wait until *text* is on the screen, after what an earlier call waited for."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.seen.find(text, self._read_to)) < 0:
            if not self._read(deadline):
                pytest.fail(f"{text!r} never came; the screen was:\n{self.seen}")
        self._read_to = found + len(text)

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def has_ended(self, within: float) -> bool:
        """Read for at most *within* seconds and tell whether the process has ended."""
        deadline = time.monotonic() + within
        while self._read(deadline):
            pass
        return self.process.poll() is not None

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._screen], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux says so when the last process has let go of the terminal
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._screen)


class Caw:
    """Starts ``python -m caw_core`` with a home of its own."""

    def __init__(self, home: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CAW_", "CODEX_"))}
        self.env = {**kept, "CAW_HOME": str(home), "PYTHONWARNINGS": "default"}
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, stdin: str | None = None, **env: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "caw_core", *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            env={**self.env, **env},
            timeout=PATIENCE,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1, **options}
        process = subprocess.Popen(
            [sys.executable, "-m", "caw_core", *arguments],
            text=True,
            env=self.env,
            **pipes,
        )
        self._processes.append(process)
        return process

    def terminal(self, *arguments: str) -> Terminal:
        terminal = Terminal(["-m", "caw_core", *arguments], self.env)
        self._terminals.append(terminal)
        return terminal

    def close(self) -> None:
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def caw(tmp_path: Path) -> Iterator[Caw]:
    program = Caw(tmp_path / "home")
    yield program
    program.close()
