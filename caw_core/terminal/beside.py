"""A process beside the host that has the user's terminal, and outlives the host if need be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caw_core.errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Beside:
    """Runs a module in a process that has the user's terminal, and talks with it in JSON lines.

    Its function ``run(control, told, *, ended)`` gets a socket, the first line, and whether its end
    was asked for already. It gives the terminal back when it ends and when this process has ended,
    which it sees by the end of the lines. If it is killed itself, this gives the terminal back.

    Args:
        module: its name.
        told: the first line for it.
        pass_fds: descriptors that it inherits.

    Raises:
        ProcessError: it could not be started.
    """

    def __init__(self, module: str, told: Mapping[str, Any], pass_fds: Sequence[int] = ()) -> None:
        self.undo = b""
        self._before = _terminal_settings()
        self._control, theirs = socket.socketpair()
        self._lines = self._control.makefile("rb")
        # It runs in another folder, and what is told must not depend on this one's.
        importable = [str(Path(entry).absolute()) for entry in sys.path]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                    # In the host's own group: so the terminal is its terminal, too.
                    [sys.executable, "-I", "-S", _SCRIPT, str(theirs.fileno())],
                    pass_fds=[theirs.fileno(), *pass_fds],
                    cwd="/",
                )
        except OSError as error:
            self._forget()
            msg = f"the process that holds the terminal could not be started: {error}"
            raise ProcessError(msg) from error
        self.pid = self._process.pid
        with contextlib.suppress(OSError):
            # It may be gone already; then there is no answer either.
            self._tell({**told, "module": module, "path": importable})

    def hear(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            ProcessError: it was killed.
        """
        line = b""
        with contextlib.suppress(OSError):
            line = self._lines.readline()
        if not line.endswith(b"\n"):
            msg = "the process that held the terminal was killed"
            raise ProcessError(msg)
        message: dict[str, Any] = json.loads(line)
        return message

    def read(self, length: int) -> bytes:
        """Read what follows a line."""
        return self._lines.read(length)

    def end(self) -> None:
        """Ask it to end; from any thread; idempotent."""
        with contextlib.suppress(OSError):
            self._tell({"end": True})

    def close(self, seconds: float) -> None:
        """Have it end, within *seconds* or by force, and the terminal given back; idempotent."""
        if self._process.returncode is None:
            self.end()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.returncode:
                self._take_back()
        self._forget()

    def _take_back(self) -> None:
        if sys.platform == "win32":
            return
        import termios

        with contextlib.suppress(OSError, termios.error):
            os.write(1, self.undo)
            termios.tcsetattr(0, termios.TCSAFLUSH, self._before)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _forget(self) -> None:
        self._lines.close()
        self._control.close()


_SCRIPT = str(Path(__file__).with_name("beside_main.py"))


def _terminal_settings() -> list[Any]:
    if sys.platform == "win32":
        return []
    import termios

    return termios.tcgetattr(0)
