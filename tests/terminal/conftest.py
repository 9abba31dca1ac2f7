"""What the tests of this folder share: a user at a terminal with a shell."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_testkit.terminal import Terminal

HOST = Path(__file__).with_name("host.py")


class User:
    """Starts the host in a shell, which notes the terminal's settings before and after."""

    def __init__(self, folder: Path, open_terminal: Callable[..., Terminal]) -> None:
        self.folder = folder
        self._open = open_terminal
        self.env = {**os.environ, "CAW_HOME": str(folder / "caw"), "HOME": str(folder)}

    def runs(self, told: dict[str, Any]) -> Terminal:
        host = shlex.join([sys.executable, str(HOST), json.dumps(told)])
        script = f"stty -a > before; {host}; stty -a > after; echo SHELL AGAIN; exec sleep 1000"
        return self._open(["/bin/sh", "-c", script], cwd=self.folder, env=self.env)

    def runs_python(self, program: str, **told: Any) -> Terminal:
        """Have the agent's interface be a Python program; it begins by noting its process id."""
        begins = (
            "import os, signal, sys, time\nopen('program.pid', 'w').write(f'{os.getpid()}\\n')\n"
        )
        (self.folder / "program.py").write_text(begins + program)
        return self.runs({"argv": [sys.executable, "-u", "program.py"], **told})

    def runs_shell(self) -> Terminal:
        """Open a shell that looks after jobs."""
        argv = ["/bin/bash", "--norc", "--noprofile", "-i"]
        return self._open(argv, cwd=self.folder, env={**self.env, "PS1": "PROMPT> "})

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    def pid(self, name: str) -> int:
        """Wait until a program has noted its process id."""
        file = self.folder / f"{name}.pid"
        wait_until(lambda: file.is_file() and file.read_text().endswith("\n"))
        return int(file.read_text())

    def beside(self) -> psutil.Process:
        """Return the process that has the terminal on the host's behalf."""
        children = psutil.Process(self.pid("host")).children()
        return next(one for one in children if "beside_main.py" in " ".join(one.cmdline()))

    def settings_are_back(self) -> bool:
        """Wait for the shell, and tell whether the settings are as they were."""
        after = self.folder / "after"
        wait_until(after.is_file)
        wait_until(lambda: after.read_text().endswith("\n"))
        return (self.folder / "before").read_text() == after.read_text()


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)  # files and processes are all that there is to look at


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def user(tmp_path: Path, open_terminal: Callable[..., Terminal]) -> Iterator[User]:
    user = User(tmp_path, open_terminal)
    yield user
    for name in ("host", "program", "left"):
        file = tmp_path / f"{name}.pid"
        if file.is_file() and file.read_text().strip() and not is_gone(int(file.read_text())):
            os.kill(int(file.read_text()), 9)
