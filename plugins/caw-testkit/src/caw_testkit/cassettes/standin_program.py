"""The program that `caw_testkit.cassettes.standin.StandIn` copies; see there.

It runs without caw and without site-packages, so it imports the standard library alone. Before a
real program it tells of every line before it passes the line on; without one it says what it is
told to say.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in dir(signal)
)


class Link:
    """The connection to the process that records or plays."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(FOLDER / "link"))
        self.lines = self.socket.makefile("rb")
        self.lock = threading.RLock()

    def tell(self, **message: Any) -> None:
        """Say something and wait for nothing."""
        with self.lock:
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, data: bytes | None = None, **message: Any) -> bytes:
        """Say something, wait until it is written down, and return what to pass on."""
        if data is not None:
            message["data"] = base64.b64encode(data).decode()
        with self.lock:
            self.tell(**message)
            answer = self.hear()
        changed = (answer or {}).get("data")
        return base64.b64decode(changed) if changed is not None else data or b""

    def hear(self) -> dict[str, Any] | None:
        """Return the next message, None at the end."""
        line = self.lines.readline()
        return dict(json.loads(line)) if line else None


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, as far as anybody reads it."""
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError):
        while view:
            view = view[os.write(fd, view) :]


def end(code: int) -> None:
    """End as a program did: with an exit status, or by a signal where it is negative."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    # Not sys.exit(): a thread may be reading stdin.
    os._exit(code)


def stand_before(link: Link, program: str) -> int:
    """Run the real program, and tell of all that goes in and out."""
    child = subprocess.Popen(  # noqa: S603 - what we stand before
        [program, *sys.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdin: Any = child.stdin

    def on_signal(number: int, _: object) -> None:
        # Elsewhere, since this thread may hold the lock in the middle of a message.
        threading.Thread(target=pass_signal, args=(number,), daemon=True).start()

    def pass_signal(number: int) -> None:
        link.ask(kind="signal", number=number)
        child.send_signal(number)

    # After the start: what is ignored here would be ignored there as well.
    for number in SIGNALS:
        signal.signal(number, on_signal)

    def pump_input() -> None:
        with contextlib.suppress(OSError):
            for line in sys.stdin.buffer:
                stdin.write(link.ask(line, kind="client"))
                stdin.flush()
        link.ask(kind="eof")
        with contextlib.suppress(OSError):
            stdin.close()

    def pump_output(source: Any, kind: str, fd: int) -> None:
        for line in source:
            write_all(fd, link.ask(line, kind=kind))

    threading.Thread(target=pump_input, daemon=True).start()
    complaints = threading.Thread(target=pump_output, args=(child.stderr, "stderr", 2), daemon=True)
    complaints.start()
    pump_output(child.stdout, "agent", 1)
    code = child.wait()
    complaints.join(1)
    link.ask(kind="end", code=code)
    return code


def play(link: Link) -> None:
    """Say what we are told, and tell what is said to us."""
    signal.signal(signal.SIGINT, lambda *_: link.tell(kind="signal", number=int(signal.SIGINT)))

    def pump_input() -> None:
        for line in sys.stdin.buffer:
            link.tell(kind="client", data=base64.b64encode(line).decode())
        link.tell(kind="eof")

    threading.Thread(target=pump_input, daemon=True).start()
    while (message := link.hear()) is not None:
        if message["kind"] == "end":
            end(message["code"])
        write_all(1 if message["kind"] == "agent" else 2, base64.b64decode(message["data"]))


def main() -> None:
    """Stand before the real program, or in its place."""
    program = json.loads((FOLDER / "program.json").read_text())
    link = Link()
    link.ask(kind="start", argv=sys.argv[1:])
    if program:
        end(stand_before(link, program))
    play(link)
    os._exit(0)


if __name__ == "__main__":
    main()
