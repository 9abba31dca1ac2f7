"""A program that speaks as much of codex's protocol as is needed to make it misbehave.

It gets its orders as JSON in FAKE_ORDERS: ``start`` (``silent``, ``exit`` or nothing), ``sandbox``
(what it claims to have granted), ``turn`` (a file with what to write in a turn, byte by byte) and
``log`` (a file for all that it reads).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def ended(status: str) -> dict[str, Any]:
    turn = {"id": "U", "status": status, "error": None}
    return {"method": "turn/completed", "params": {"threadId": "T", "turn": turn}}


def main() -> None:
    orders = json.loads(os.environ["FAKE_ORDERS"])
    if orders.get("start") == "exit":
        sys.stderr.write("cannot read the configuration\n")
        raise SystemExit(7)
    if orders.get("start") == "silent":
        time.sleep(600)
    for line in sys.stdin.buffer:
        with Path(orders["log"]).open("ab") as log:
            log.write(line)
        message = json.loads(line)
        if "method" not in message or "id" not in message:
            continue
        result: dict[str, Any] = {}
        if message["method"] == "thread/start":
            sandbox = {"type": orders.get("sandbox", "workspaceWrite")}
            result = {"thread": {"id": "T"}, "model": "m", "sandbox": sandbox}
        if message["method"] == "turn/start":
            result = {"turn": {"id": "U"}}
        if message["method"] == "turn/interrupt" and orders.pop("refuse_interrupt", False):
            say({"id": message["id"], "error": {"code": -32600, "message": "no active turn"}})
            say({"method": "turn/started", "params": {"threadId": "T", "turn": {"id": "U"}}})
            continue
        say({"id": message["id"], "result": result})
        if message["method"] == "turn/start":
            sys.stdout.buffer.write(Path(orders["turn"]).read_bytes())
            sys.stdout.buffer.flush()
        if message["method"] == "turn/interrupt":
            say(ended("interrupted"))


if __name__ == "__main__":
    main()
