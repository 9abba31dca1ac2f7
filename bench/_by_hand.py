"""The least that a client of each agent's live protocol can do: one conversation, turn by turn.

Nothing is checked, kept or made of what the agents say but the text of the answer; there are no
threads, no deadlines, no events. Each starts its program as caw does with ``permissions="full"``,
in the folder and with the environment of this process, and in a session of its own: Linux shares
the processors out among sessions, so that on a busy machine it matters.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import uuid
from pathlib import Path
from typing import Any


class _Lines:
    """A program that speaks JSON, one message a line."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return dict(json.loads(self._process.stdout.readline()))


class Codex(_Lines):
    """One thread of one ``codex app-server``."""

    def __init__(self, program: str) -> None:
        super().__init__(program, "app-server")
        self._id = 0
        client = {"name": "bench", "title": "bench", "version": "1"}
        self._call("initialize", clientInfo=client)
        self._write({"method": "initialized"})
        freely = {"approvalPolicy": "never", "sandbox": "danger-full-access"}
        started = self._call("thread/start", cwd=str(Path.cwd()), **freely)
        self._thread = started["thread"]["id"]

    def send(self, prompt: str) -> str:
        """Have one turn; return its text."""
        text = {"type": "text", "text": prompt}
        self._call("turn/start", threadId=self._thread, input=[text])
        answer = ""
        while True:
            message = self._read()
            item = message.get("params", {}).get("item", {})
            if message.get("method") == "item/completed" and item["type"] == "agentMessage":
                answer = item["text"]
            elif message.get("method") == "turn/completed":
                return answer

    def _call(self, method: str, **params: Any) -> Any:
        self._id += 1
        self._write({"id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._id:
                return message["result"]


class Claude(_Lines):
    """One ``claude`` over its control protocol, with the flags that caw gives it."""

    def __init__(self, program: str) -> None:
        super().__init__(
            program,
            "-p",
            "--verbose",
            "--input-format=stream-json",
            "--output-format=stream-json",
            "--include-partial-messages",
            "--dangerously-skip-permissions",
            "--permission-prompt-tool=stdio",
            "--disallowedTools=AskUserQuestion,EnterPlanMode,ExitPlanMode",
            "--replay-user-messages",
            f"--session-id={uuid.uuid4()}",
        )
        request = {"subtype": "initialize", "hooks": None}
        self._write({"type": "control_request", "request_id": "1", "request": request})
        while self._read()["type"] != "control_response":
            pass

    def send(self, prompt: str) -> str:
        """Have one turn; return its text."""
        content = [{"type": "text", "text": prompt}]
        self._write({"type": "user", "message": {"role": "user", "content": content}})
        while True:
            message = self._read()
            if message["type"] == "result":
                return str(message["result"])


class Opencode:
    """One session of one ``opencode serve``: a request for each turn, beside the stream of events.

    A turn is over when the events say so; its text comes with the answer to the request.
    """

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, "serve", "--hostname", "127.0.0.1", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._port = self._listening()
        self._requests = self._connection()
        events = self._connection()
        self._ask(events, "GET", "/event")
        self._events = events.getresponse()
        self._ask(self._requests, "POST", "/session", {"title": "bench"})
        self._path = f"/session/{self._answer()['id']}/message"

    def send(self, prompt: str) -> str:
        """Have one turn; return its text."""
        parts = [{"type": "text", "text": prompt}]
        self._ask(self._requests, "POST", self._path, {"parts": parts})
        event = {"type": ""}
        while event["type"] != "session.idle":
            line = self._events.readline()
            if line.startswith(b"data:"):
                event = json.loads(line[len(b"data:") :])
        return "".join(part.get("text", "") for part in self._answer()["parts"])

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def _listening(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = b""
        while b"listening on" not in line:
            line = self._process.stdout.readline()
        return int(line.rpartition(b":")[2])

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None
    ) -> None:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)

    def _answer(self) -> dict[str, Any]:
        return dict(json.loads(self._requests.getresponse().read()))


CLIENTS: dict[str, type[Claude | Codex | Opencode]] = {
    "claude": Claude,
    "codex": Codex,
    "opencode": Opencode,
}
