"""Servers of tools that the caller gives, really called by each real agent."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core import McpServer
from caw_core.events import ToolStarted
from caw_testkit.modelserver import reply, text
from caw_testkit.toolserver import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    SEEN_VARIABLE,
    STDIO_COMMAND,
    digest,
)

from .agents import whole_body

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.toolserver import HttpToolServer

    from .conftest import Trial


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a secret that the servers get by reference to the variable CANARY."""
    secret = secrets.token_hex(16)
    monkeypatch.setenv("CANARY", secret)
    return secret


def servers(http_tools: HttpToolServer, seen: Path) -> list[McpServer]:
    """Return a server of each kind; the one on stdio writes a digest of its secret to *seen*."""
    command, *args = STDIO_COMMAND
    variables = {SECRET_VARIABLE: "${CANARY}", SEEN_VARIABLE: str(seen)}
    return [
        McpServer(name="sums", command=command, args=args, env=variables),
        McpServer(name="web", url=http_tools.url, headers={SECRET_HEADER: "${CANARY}"}),
    ]


def files_with(secret: str, *folders: Path) -> list[Path]:
    """Return the files below *folders* that hold *secret*."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if secret.encode() in file.read_bytes()]


@pytest.mark.feature("mcp_servers")
def test_servers_on_stdio_and_http_are_called_and_their_secrets_go_nowhere_else(
    trial: Trial,
    http_tools: HttpToolServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    canary: str,
) -> None:
    caplog.set_level(0)
    seen = tmp_path / "seen"
    trial.server.script(
        reply(trial.kind.use("sums", "add", {"a": 1, "b": 2})),
        reply(trial.kind.use("web", "add", {"a": 3, "b": 4})),
        reply(trial.kind.run("env")),
        reply(text("done")),
    )
    lines: list[str] = []
    settings = {"mcp_servers": servers(http_tools, seen), "env": {"CANARY": None}}
    with trial.session(data_dir=tmp_path / "records", **settings) as session:
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, ToolStarted):
                tree = psutil.Process().children(recursive=True)
                lines += [" ".join(process.cmdline()) for process in tree]
    uses = stream.result().tool_calls[:2]
    assert [(use.name, use.output) for use in uses] == [("sums.add", "3"), ("web.add", "7")]
    assert uses[0].arguments == {"a": 1, "b": 2}
    assert (seen.read_text(), set(http_tools.secrets)) == (digest(canary), {canary})
    assert lines
    assert canary not in "\n".join(lines)
    assert canary not in caplog.text
    assert not any(canary in whole_body(request) for request in trial.server.requests)
    assert files_with(canary, tmp_path) == []


@pytest.mark.fault(
    "claude_code",
    "claude 2.1.197 logs the headers of each HTTP server in clear, in its own cache folder",
)
@pytest.mark.feature("mcp_servers")
def test_secrets_of_servers_are_in_none_of_the_agents_own_files(
    trial: Trial, http_tools: HttpToolServer, tmp_path: Path, canary: str
) -> None:
    trial.server.respond(lambda _: reply(text("done")))
    given = servers(http_tools, tmp_path / "seen")
    with trial.session(mcp_servers=given, env={"CANARY": None}) as session:
        session.send("go")
    assert set(http_tools.secrets) == {canary}
    assert files_with(canary, trial.home.path) == []
