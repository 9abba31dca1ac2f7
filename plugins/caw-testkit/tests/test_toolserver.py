"""The server of tools, spoken to as a program speaks to it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from caw_testkit.toolserver import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    SEEN_VARIABLE,
    STDIO_COMMAND,
    HttpToolServer,
    digest,
)

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
    {"id": 3, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}},
]


def test_server_on_stdio_adds_and_writes_a_digest_of_its_secret(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    done = subprocess.run(
        STDIO_COMMAND,
        input="".join(f"{json.dumps(message)}\n" for message in MESSAGES),
        env={**os.environ, SECRET_VARIABLE: "canary", SEEN_VARIABLE: str(seen)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert [tool["name"] for tool in answers[1]["result"]["tools"]] == ["add"]
    assert answers[2]["result"]["content"] == [{"type": "text", "text": "3"}]
    assert seen.read_text() == digest("canary")


def test_server_on_http_adds_and_remembers_the_header(http_tools: HttpToolServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(http_tools.url).netloc, timeout=60)
    connection.request("POST", "/mcp", json.dumps(MESSAGES[-1]), {SECRET_HEADER: "canary"})
    answer = json.load(connection.getresponse())
    connection.close()
    assert answer["result"]["content"][0]["text"] == "3"
    assert http_tools.secrets == ["canary"]
