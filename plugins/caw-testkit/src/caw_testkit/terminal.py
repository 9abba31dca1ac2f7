"""A terminal for tests: programs run in it, keys are typed, and its screen is read.

Needs ``pip install caw-testkit[terminal]`` and a POSIX system.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

if sys.platform == "win32":
    raise ImportError("a terminal for tests needs a POSIX system")

__all__ = ["Terminal"]

_ON_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

_CHUNK = 65536
_SECONDS = 30.0


class Terminal:
    """One program on a terminal of its own, as the leader of its session.

    Use it as a context manager, or close it.

    Args:
        argv: the program and its arguments.
        cwd: the folder to start in.
        env: its whole environment; ``TERM`` is added.
        rows: the window's height.
        columns: the window's width.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        rows: int = 30,
        columns: int = 100,
    ) -> None:
        self._master, self._slave = pty.openpty()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self._written = bytearray()
        self.resize(rows, columns)
        self._process = subprocess.Popen(  # noqa: S603 - the test's own program
            # Without a fork of this process, which has threads.
            [sys.executable, "-I", "-S", "-c", _ON_A_TERMINAL, *argv],
            cwd=cwd,
            env={**env, "TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def screen(self) -> str:
        """What the screen shows; blanks are spaces, and at the ends of lines there are none."""
        with self._changed:
            lines = [line.replace("\xa0", " ").rstrip() for line in self._screen.display]
        return "\n".join(lines).rstrip()

    @property
    def written(self) -> bytes:
        """All that was ever written to the terminal."""
        with self._changed:
            return bytes(self._written)

    def stty(self) -> str:
        """Return what ``stty -a`` says of the terminal now."""
        done = subprocess.run(
            ["stty", "-a"],  # noqa: S607 - where the system has it
            stdin=self._slave,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def type(self, keys: str) -> None:
        """Type *keys*; Enter is a carriage return."""
        data = keys.encode()
        while data:
            data = data[os.write(self._master, data) :]

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size, of which the system tells the program."""
        with self._changed:
            self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: str, seconds: float = _SECONDS) -> str:
        """Wait until *text* is on the screen; return the screen.

        Raises:
            TimeoutError: it did not come; the message shows the screen.
        """
        return self.wait_until(lambda screen: text in screen, repr(text), seconds)

    def wait_until(
        self, true: Callable[[str], bool], what: str = "it", seconds: float = _SECONDS
    ) -> str:
        """Wait until something is true of the screen; return the screen.

        Args:
            true: given the screen, tells whether it is.
            what: what is waited for, in words.
            seconds: how long.

        Raises:
            TimeoutError: it did not become true; the message shows the screen.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: true(self.screen), seconds):
                msg = f"{what} did not come; the screen is:\n{self.screen}"
                raise TimeoutError(msg)
            return self.screen

    def wait(self, seconds: float = _SECONDS) -> int:
        """Wait until the program has ended; return its status as `subprocess.Popen` does.

        Raises:
            TimeoutError: it did not end; the message shows the screen.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            msg = f"the program did not end; the screen is:\n{self.screen}"
            raise TimeoutError(msg) from None

    def close(self) -> None:
        """End the program, if it still runs, and everything in its group; idempotent."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
            # Programs outside the group may hold the terminal; the reader does not wait for them.
            self._reader.join(1)
            os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, _CHUNK)
            except OSError:
                # Linux says so when the last program has left.
                return
            if not data:
                return
            with self._changed:
                self._written += data
                self._stream.feed(data)
                self._changed.notify_all()
