"""The program of the reference provider: JSON lines in, JSON lines out.

It is told in the prompt what to do, and keeps each conversation in a file of its folder::

    reference_agent.py FOLDER KEY [--resume | --interface]

With ``--interface`` the first prompt comes over stdin, and the user is there until Ctrl-D.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

FOLDER, KEY = Path(sys.argv[1]), sys.argv[2]
LOCK = threading.Lock()


def tell(kind: str, **facts: Any) -> None:
    with LOCK:
        sys.stdout.buffer.write(json.dumps({"type": kind, **facts}).encode() + b"\n")
        sys.stdout.buffer.flush()


class Turn:
    def __init__(self, number: int, text: str, history: list[str]) -> None:
        self.number = number
        self.history = history
        self.cancelled = threading.Event()
        self.answered = threading.Event()
        self.allowed = False
        self.child: subprocess.Popen[str] | None = None
        threading.Thread(target=self.run, args=(text,), daemon=True).start()

    def run(self, prompt: str) -> None:
        word, _, rest = prompt.partition(" ")
        failure = ""
        if word == "fail":
            failure = "the prompt asked for it"
        elif hasattr(self, f"do_{word}"):
            getattr(self, f"do_{word}")(rest)
        tell("usage", turn=self.number, input=len(prompt.split()), output=7)
        status = "cancelled" if self.cancelled.is_set() else "failed" if failure else "done"
        tell("end", turn=self.number, status=status, message=failure)

    def do_say(self, text: str) -> None:
        words = text.split(" ")
        for place, word in enumerate(words):
            piece = word if place == len(words) - 1 else f"{word} "
            tell("delta", turn=self.number, text=piece)
        tell("text", turn=self.number, text=text)

    def do_recall(self, _: str) -> None:
        self.do_say("\n".join(self.history))

    def do_think(self, text: str) -> None:
        tell("thought", turn=self.number, text=text)
        self.do_say("done")

    def do_tool(self, rest: str) -> None:
        call_id, _, output = rest.partition(" ")
        tell("tool", turn=self.number, id=call_id)
        tell("result", turn=self.number, id=call_id, output=output)

    def do_plan(self, step: str) -> None:
        tell("plan", turn=self.number, steps=[step])

    def do_write(self, rest: str) -> None:
        name, _, content = rest.partition(" ")
        Path(name).write_text(content)
        tell("file", turn=self.number, path=name, diff=content)

    def do_later(self, text: str) -> None:
        threading.Timer(0.01, tell, ("own",), {"text": text}).start()

    def do_stall(self, text: str) -> None:
        self.do_say(text)
        self.cancelled.wait()

    def do_shell(self, command: str) -> None:
        tell("tool", turn=self.number, id="shell")
        # A group of its own, so that all of it can be ended.
        self.child = subprocess.Popen(
            ["sh", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        output = ""
        for line in self.child.stdout or ():
            if self.cancelled.is_set():
                break
            output += line
            tell("output", turn=self.number, id="shell", text=line)
        tell("result", turn=self.number, id="shell", output=output)

    def do_ask(self, _: str) -> None:
        tell("tool", turn=self.number, id="asked")
        tell("ask", turn=self.number, id=f"ask-{self.number}", call="asked")
        while not (self.answered.wait(0.01) or self.cancelled.is_set()):
            continue
        tell("result", turn=self.number, id="asked", output="", declined=not self.allowed)

    def stop(self) -> None:
        self.cancelled.set()
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)


def show(file: Path) -> None:
    prompt = sys.stdin.read()
    file.write_text(json.dumps([prompt]))
    sys.stdout.write(prompt.partition(" ")[2] + "\n")
    sys.stdout.flush()
    with Path("/dev/tty").open() as terminal:
        terminal.read()


def main() -> None:
    file = FOLDER / f"{KEY}.json"
    if "--interface" in sys.argv:
        show(file)
        return
    if "--resume" in sys.argv and not file.exists():
        sys.stderr.write("there is no such conversation\n")
        raise SystemExit(3)
    history: list[str] = json.loads(file.read_text()) if file.exists() else []
    tell("ready")
    turn: Turn | None = None
    for line in sys.stdin.buffer:
        message = json.loads(line)
        match message["type"]:
            case "prompt":
                history.append(message["text"])
                file.write_text(json.dumps(history))
                turn = Turn(message["turn"], message["text"], history)
            case "answer" if turn is not None:
                turn.allowed = message["allowed"]
                turn.answered.set()
            case "cancel" if turn is not None and turn.number == message["turn"]:
                turn.stop()


if __name__ == "__main__":
    main()
