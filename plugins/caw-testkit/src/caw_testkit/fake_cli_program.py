"""The program that `caw_testkit.fake_cli.FakeCli` copies; see there.

It runs without caw and without site-packages, so it imports the standard library alone.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def note(name: str, line: bytes) -> None:
    """Append *line* to one of the files that the test reads."""
    with (FOLDER / name).open("ab") as file:
        file.write(line)


def wait_for(data: bytes) -> None:
    """Read lines until one holds *data*."""
    while line := sys.stdin.buffer.readline():
        note("stdin", line)
        if data in line:
            return


def start_grandchild(seconds: float) -> None:
    """Leave a process behind that has our stdout and stderr."""
    code = f"import time; time.sleep({seconds})"
    child = subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-IS", "-c", code], stdin=subprocess.DEVNULL
    )
    note("grandchildren", b"%d\n" % child.pid)


def do(action: dict[str, Any]) -> None:  # noqa: C901 - a flat table
    """Do one step."""
    data, number = base64.b64decode(action["data"]), action["number"]
    match action["kind"]:
        case "say":
            write_all(1, data)
        case "complain":
            write_all(2, data)
        case "flood":
            write_all(2, (b"e" * 63 + b"\n") * (int(number) // 64 + 1))
        case "pause":
            time.sleep(number)
        case "wait":
            wait_for(data)
        case "child":
            start_grandchild(number)
        case "close":
            os.close(1)
        case "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "leave":
            os._exit(int(number))
        case "die":
            os.kill(os.getpid(), int(number))


def main() -> None:
    """Do what was written down."""
    run = {
        "pid": os.getpid(),
        "argv": sys.argv[1:],
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
    }
    note("runs.jsonl", json.dumps(run).encode() + b"\n")
    for action in json.loads((FOLDER / "actions.json").read_text()):
        do(action)
    # Not sys.exit(): it would complain about a stdout that is closed.
    os._exit(0)


if __name__ == "__main__":
    main()
