"""A program that stands before an agent's program, or in its place, with its wire in our hands.

The executable is a small script that speaks with this process over a socket in a folder of this
user's alone. So what goes over the wire is nowhere on disk before it has been redacted.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Link:
    """The connection to one running stand-in."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what it tells until it is gone; ``data`` is bytes."""
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "data" in message:
                    message["data"] = base64.b64decode(message["data"])
                yield message

    def send(self, *, data: bytes | None = None, **message: Any) -> None:
        """Tell it something; nothing happens where it is gone."""
        if data is not None:
            message["data"] = base64.b64encode(data).decode()
        with contextlib.suppress(OSError), self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """End the connection, which ends the stand-in; idempotent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class StandIn:
    """An executable to be started in place of an agent's program.

    Args:
        name: what it is called.
        program: the real program, which it starts and stands before; ``""`` for none.
        on_link: called in a thread of its own for each of its processes.

    Attributes:
        path: the executable.

    Raises:
        RuntimeError: on Windows, where a script is no executable.
    """

    def __init__(self, name: str, program: str, on_link: Callable[[Link], None]) -> None:
        if os.name == "nt":
            message = "a cassette needs an executable script, which Windows does not have"
            raise RuntimeError(message)
        self._on_link = on_link
        # Not below a test's folder: the path of a socket has at most about 100 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="caw-tape-"))
        self.path = self._folder / name
        (self._folder / "program.json").write_text(json.dumps(program))
        source = files("caw_testkit.cassettes").joinpath("standin_program.py").read_text("utf-8")
        self.path.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
        self.path.chmod(0o700)
        self._links: list[Link] = []
        self._listener = socket.socket(socket.AddressFamily["AF_UNIX"])
        self._listener.bind(str(self._folder / "link"))
        self._listener.listen()
        self._accepting = threading.Thread(
            target=self._accept, name="caw-cassette-links", daemon=True
        )
        self._accepting.start()

    def close(self) -> None:
        """End the connections and remove the executable; idempotent."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for link in self._links:
            link.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                link = Link(connection)
                self._links.append(link)
                threading.Thread(
                    target=self._on_link, args=(link,), name="caw-cassette-link", daemon=True
                ).start()
