"""Which protocol is used, with programs that are opencode but for their version or their server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ConfigError, ProcessError, UnsupportedError
from caw_core.events import Notice
from caw_core.provider import StartRequest
from caw_provider_opencode.run_session import RunSession
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

NO_SERVER = "sys.exit('error: unknown command serve')"
SERVES = """
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Health(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            said = b'{"healthy":true,"version":"VERSION"}'
            if "event" in self.path:
                said = b'data: {"payload":{"type":"server.connected","properties":{}}}\\n\\n'
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        def log_message(self, *_):
            pass
    server = HTTPServer(("127.0.0.1", 0), Health)
    print(f"opencode server listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
"""


def old_opencode(folder: Path, program: Path, version: str, serve: str) -> str:
    """Make a program that is opencode but for what it says of its version, and its server."""
    file = folder / "old-opencode"
    file.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"if sys.argv[1:] == ['--version']:\n    print({version!r})\n    sys.exit()\n"
        f"if sys.argv[1] == 'serve':\n    {serve.strip().replace('VERSION', version)}\n"
        f"os.execv({str(program)!r}, sys.argv)\n"
    )
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("serve", [NO_SERVER, SERVES])
def test_version_without_a_full_server_is_started_once_a_turn(
    own_desk: Desk, model_server: ModelServer, tmp_path: Path, serve: str
) -> None:
    model_server.respond(echo)
    program = old_opencode(tmp_path, own_desk.program, "1.3.2", serve)
    agent = own_desk.agent(options={"binary": program})
    with agent.start_session() as session:
        told = [event.message for event in session.stream("one") if isinstance(event, Notice)]
        assert len(told) == 1
        assert "anew for each turn" in told[0]
        assert session.send("two").result == "echo: two"
    assert model_server.requests[-1].user_texts() == ["one", "two"]


@pytest.mark.parametrize(
    ("version", "protocol"), [("1.18.33", "auto"), ("1.3.2", "live"), ("odd", "auto")]
)
def test_other_failures_of_the_start_are_not_hidden(
    own_desk: Desk, tmp_path: Path, version: str, protocol: str
) -> None:
    program = old_opencode(tmp_path, own_desk.program, version, NO_SERVER)
    with pytest.raises(ProcessError, match="unknown command"):
        own_desk.start(options={"binary": program, "protocol": protocol})


def test_version_that_knows_no_rules_is_refused(own_desk: Desk, tmp_path: Path) -> None:
    program = old_opencode(tmp_path, own_desk.program, "1.0.185", NO_SERVER)
    with pytest.raises(UnsupportedError, match="too old"):
        own_desk.start(options={"binary": program})


def test_version_that_cannot_bound_retries_says_so(own_desk: Desk, tmp_path: Path) -> None:
    program = old_opencode(tmp_path, own_desk.program, "1.3.2", NO_SERVER)
    with pytest.raises(UnsupportedError, match="retries"):
        own_desk.start(options={"binary": program, "max_retries": 3})


def test_program_that_does_not_take_the_rules_is_refused(own_desk: Desk, tmp_path: Path) -> None:
    program = old_opencode(tmp_path, own_desk.program, "1.3.2", NO_SERVER)
    file = tmp_path / "forgetful"
    file.write_text(f'#!/bin/sh\nunset OPENCODE_CONFIG_CONTENT\nexec {program} "$@"\n')
    file.chmod(0o755)
    with pytest.raises(UnsupportedError, match="read-only"):
        own_desk.start(options={"binary": str(file)}, permissions="read-only")


def test_working_server_is_used_by_itself(desk: Desk) -> None:
    session = desk.provider.start_session(request=StartRequest(**desk.settings()))
    assert not isinstance(session, RunSession)
    session.close()


def test_unknown_protocol_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="auto, live, spawn"):
        desk.start(options={"protocol": "telepathy"})
