"""An app-server that listens on a socket, where codex's own interface can join the conversation."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from caw_core.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from websockets.sync.client import ClientConnection

log = logging.getLogger("caw.codex")

_LOOK_SECONDS: Final = 0.02


class SocketProcess:
    """A program whose lines are the messages of a WebSocket on a Unix socket.

    To `caw_provider_codex.rpc.Peer` it is what a `caw_core.process.Process` is. The first `write`
    connects.

    Args:
        argv: the program and its arguments, but for those that name the socket.
        cwd: the folder to start in.
        env: the whole environment.
        on_line: called for each message, in a thread of its own.
        on_exit: called when the program has ended.
        name: the program's name in messages.
        socket: where it is to listen. Whoever can open it drives the agent, so its folder must be
            the user's alone.

    Raises:
        ProgramNotFoundError: there is no such program.
        ProcessError: it could not be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[bytes], None],
        on_exit: Callable[[Process], None],
        name: str,
        socket: Path,
    ) -> None:
        self._socket = socket
        self._on_line = on_line
        self._lock = threading.Lock()
        self._connection: ClientConnection | None = None
        self._process = Process(
            [*argv, "--listen", address(socket)],
            cwd=cwd,
            env=env,
            on_line=lambda _: None,
            on_exit=on_exit,
            name=name,
        )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.running

    def write(self, data: bytes, *, wait: float = -1) -> None:
        """Send *data*, one line, as a message.

        Args:
            data: the bytes.
            wait: how many seconds it may take to connect; -1 for as long as it takes.

        Raises:
            ProcessError: the program is gone, or has closed the connection.
            TimeoutError: it does not listen yet.
        """
        from websockets.exceptions import WebSocketException

        try:
            self._connected(wait).send(data.decode().rstrip("\n"))
        except TimeoutError:
            raise
        except (OSError, WebSocketException) as error:
            raise self._process.exit_error("codex no longer takes input") from error

    def stop(self, step_seconds: float) -> None:
        """End the program and all that it started; see `caw_core.process.Process.stop`."""
        # It does not read its stdin, so closing that, as is done first, is no sign.
        if self._process.running:
            self._process.ask_to_end()
        self._process.stop(step_seconds)
        if self._connection is not None:
            self._connection.close()

    def _connected(self, wait: float) -> ClientConnection:
        by = time.monotonic() + wait if wait >= 0 else None
        with self._lock:
            while self._connection is None:
                self._connection = self._connect()
                if self._connection is not None:
                    break
                if self._process.wait(_LOOK_SECONDS) is not None:
                    raise self._process.exit_error("codex ended")
                if by is not None and time.monotonic() > by:
                    msg = "codex does not listen"
                    raise TimeoutError(msg)
            return self._connection

    def _connect(self) -> ClientConnection | None:
        from websockets.sync.client import unix_connect

        try:
            # A message may hold a whole file, and codex may be silent for as long as a tool runs.
            connection = unix_connect(
                str(self._socket), max_size=None, compression=None, ping_interval=None
            ).__enter__()
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        threading.Thread(
            target=self._receive,
            args=(connection,),
            name=f"caw-codex-{self.pid}-socket",
            daemon=True,
        ).start()
        return connection

    def _receive(self, connection: ClientConnection) -> None:
        from websockets.exceptions import WebSocketException

        # What the end of the connection means is known by the end of the program.
        with contextlib.suppress(WebSocketException, OSError):
            for message in connection:
                data = message.encode() if isinstance(message, str) else message
                try:
                    self._on_line(data)
                except Exception:
                    log.exception("taking a message of codex failed")


def address(socket: Path) -> str:
    """Return what codex calls a place to listen at."""
    return f"unix://{socket}"
