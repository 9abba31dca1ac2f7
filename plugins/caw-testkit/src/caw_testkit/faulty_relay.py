"""The program that `caw_testkit.faulty_program.FaultyProgram` copies; see there.

It runs without caw and without site-packages, so it imports the standard library alone.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent
CHUNK = 65536


class Faults:
    """What is to go wrong, as the files beside this program say."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self.lock = threading.Lock()
        self.crlf = False

    def pass_on(self, line: bytes, write: Callable[[bytes], None], *, event: bool = False) -> None:
        """Write *line*, which has its end, with what was ordered to happen at it.

        :param event: the line is one of a stream of server-sent events.
        """
        with self.lock:
            order = self._take(line)
            if order is not None:
                self._do(order, line, write, event=event)
                if order["kind"] == "exit":
                    return
            write(line.rstrip(b"\r\n") + b"\r\n" if self.crlf and line.endswith(b"\n") else line)

    def _take(self, line: bytes) -> dict[str, Any] | None:
        try:
            order: dict[str, Any] = json.loads((FOLDER / "order.json").read_text())
        except FileNotFoundError:
            return None
        if base64.b64decode(order["at"]) not in line:
            return None
        try:
            # Once in all, however many of us run.
            (FOLDER / f"happened-{order['number']}").touch(exist_ok=False)
        except FileExistsError:
            return None
        return order

    def _do(  # noqa: C901 - a flat table
        self, order: dict[str, Any], line: bytes, write: Callable[[bytes], None], *, event: bool
    ) -> None:
        data = base64.b64decode(order["text"])
        begin, end = (b"data: ", b"\n\n") if event else (b"", b"\n")
        match order["kind"]:
            case "insert":
                for inserted in data.split(b"\n"):
                    write(begin + inserted + end)
            case "copy":
                copied = line.replace(data, base64.b64decode(order["more"]))
                if copied != line:
                    write(copied + (b"\n" if event else b""))
            case "huge":
                write(begin + b'{"type":"caw_huge","text":"' + b"x" * order["count"] + b'"}' + end)
            case "flood":
                for _ in range(order["count"] // CHUNK + 1):
                    write_all(2, b"e" * (CHUNK - 1) + b"\n")
            case "crlf":
                self.crlf = True
            case "cut":
                write(line[: len(line) // 2])
                self._leave(order["code"])
            case "exit":
                write_all(2, data)
                self._leave(order["code"])
            case "kill":
                self.child.kill()
                os.kill(os.getpid(), signal.SIGKILL)

    def _leave(self, code: int) -> None:
        self.child.kill()
        self.child.wait()
        os._exit(code)


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # The real program shares our stderr, and some programs make it non-blocking for both.
            select.select([], [fd], [])


def lines_of(read: Callable[[], bytes]) -> Any:
    """Yield lines with their ends; the last one may have none."""
    rest = b""
    parts: list[bytes] = []
    while data := read():
        *whole, rest = data.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line, b"\n"])
            parts = []
        if rest:
            parts.append(rest)
    if parts:
        yield b"".join(parts)


class Proxy:
    """Stands before a port of the real program."""

    def __init__(self, faults: Faults, port: int) -> None:
        self.faults = faults
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        try:
            self._answer(server, client)
        except OSError:
            pass
        finally:
            close(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = server.recv(CHUNK)
            if not data:
                break
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        client.sendall(head + b"\r\n\r\n")
        if not re.search(rb"\r\ncontent-type: *text/event-stream", head, re.IGNORECASE):
            client.sendall(body)
            while data := server.recv(CHUNK):
                client.sendall(data)
            return
        stream = server.makefile("rb")
        whole = _Joined(body, stream)
        if not re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE):
            for line in lines_of(whole.read_some):
                self.faults.pass_on(line, client.sendall, event=True)
            return
        for line in lines_of(lambda: read_chunk(whole)):
            self.faults.pass_on(
                line, lambda data: client.sendall(b"%x\r\n%b\r\n" % (len(data), data)), event=True
            )
        client.sendall(b"0\r\n\r\n")


class _Joined:
    """Bytes that were read already, and the stream that they were read from."""

    def __init__(self, begun: bytes, stream: Any) -> None:
        self.begun = begun
        self.stream = stream

    def read_some(self) -> bytes:
        begun, self.begun = self.begun, b""
        return begun or self.stream.read1(CHUNK)

    def read(self, count: int) -> bytes:
        begun, self.begun = self.begun[:count], self.begun[count:]
        return begun + self.stream.read(count - len(begun)) if len(begun) < count else begun

    def readline(self) -> bytes:
        line, found, rest = self.begun.partition(b"\n")
        self.begun = rest
        return line + found if found else line + self.stream.readline()


def read_chunk(stream: _Joined) -> bytes:
    """Return the next chunk of a chunked body, b"" at its end."""
    size = stream.readline().split(b";")[0].strip()
    if not size or not int(size, 16):
        return b""
    data = stream.read(int(size, 16))
    stream.readline()
    return data


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what a client sends."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
    except OSError:
        pass
    finally:
        # Half-closed: the answer may still come.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def close(*sockets: socket.socket) -> None:
    """End connections, also under those who wait for them."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def main() -> int:
    """Run the real program and pass its output on."""
    settings = json.loads((FOLDER / "program.json").read_text())
    command = [settings["program"], *sys.argv[1:]]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - what we stand before
    # After the start: what is ignored here would be ignored there as well.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    faults = Faults(child)
    stdout: Any = child.stdout

    def proxied(found: re.Match[bytes]) -> bytes:
        return b"http://127.0.0.1:%d" % Proxy(faults, int(found[1])).port

    for line in lines_of(lambda: os.read(stdout.fileno(), CHUNK)):
        if settings["http"]:
            write_all(1, re.sub(rb"http://127\.0\.0\.1:(\d+)", proxied, line))
        else:
            faults.pass_on(line, lambda data: write_all(1, data))
    code = child.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
