"""A stand-in for claude and codex that does in each turn what `bench/_faults_orders.py` wrote down.

It speaks as much of their protocols as both drivers need: claude's control protocol and its
one-shot mode, and ``codex exec --json``. It is copied, with its orders beside it, and runs without
anything but the standard library.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CHUNK = b"e" * 65_535 + b"\n"


def write(data: bytes) -> None:
    """Write to stdout at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(message: dict[str, Any]) -> None:
    """Write a message."""
    write(json.dumps(message).encode() + b"\n")


def flood(count: int) -> None:
    """Write so many bytes to stderr."""
    while count:
        count -= os.write(2, CHUNK[: min(count, len(CHUNK))])


def take_turn(prompt: str) -> None:
    """Do what was ordered for a prompt."""
    (FOLDER / f"turn-{os.getpid()}").touch()
    orders = json.loads((FOLDER / "orders.json").read_text())
    # A prompt without orders must not look like a turn that was survived.
    for kind, value in orders[prompt]:
        match kind:
            case "say":
                write(base64.b64decode(value))
            case "flood":
                flood(value)
            case "pause":
                time.sleep(value)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Speak claude's control protocol until there is no more input."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["type"] == "control_request":
            answer = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            say({"type": "control_response", "response": answer})
        elif message["type"] == "user":
            say({**message, "isReplay": True})
            # The prompt is followed by an empty text.
            take_turn("".join(part["text"] for part in message["message"]["content"]))


def main() -> None:
    """Do as it was started."""
    (FOLDER / f"run-{os.getpid()}").write_text(json.dumps(sys.argv[1:]))
    if "--version" in sys.argv:
        print("2.1.197 (Claude Code)" if FOLDER.name == "claude" else "codex-cli 0.169.0")
    elif "--input-format=stream-json" in sys.argv:
        serve()
    else:
        take_turn(sys.stdin.buffer.read().decode() or sys.argv[-1])


if __name__ == "__main__":
    main()
