"""The faults of the transport, before real programs."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.fake_cli import FakeCli, complain, leave, say, wait_for
from caw_testkit.faulty_program import (
    Fault,
    FaultyProgram,
    crlf,
    cut_line,
    exit_with,
    flood_stderr,
    huge_line,
    insert,
    insert_copy,
    kill,
)

if TYPE_CHECKING:
    from pathlib import Path

LINES = b'{"a":1}\n{"b":2}\n{"c":3}\n'


def run(program: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, "--flag"], input=stdin, capture_output=True, check=False)


@pytest.fixture
def fake(tmp_path: Path) -> FakeCli:
    return FakeCli(tmp_path, wait_for(b"go"), say(LINES), complain(b"words\n"), leave(4))


@pytest.fixture
def faulty(tmp_path: Path, fake: FakeCli) -> FaultyProgram:
    return FaultyProgram(tmp_path, fake.path)


def test_without_a_fault_everything_passes_through(faulty: FaultyProgram, fake: FakeCli) -> None:
    done = run(faulty.path, b"wait\ngo\nlater\n")
    assert (done.stdout, done.stderr, done.returncode) == (LINES, b"words\n", 4)
    assert fake.stdin == b"wait\ngo\n"
    assert fake.runs[0].argv == ("--flag",)
    assert faulty.path.name == fake.path.name


@pytest.mark.parametrize(
    ("fault", "stdout"),
    [
        (insert(b"null", b"[]"), b'{"a":1}\nnull\n[]\n{"b":2}\n{"c":3}\n'),
        (insert_copy(b'"b"', b'"new"'), b'{"a":1}\n{"new":2}\n{"b":2}\n{"c":3}\n'),
        (crlf(), b'{"a":1}\n{"b":2}\r\n{"c":3}\r\n'),
    ],
)
def test_program_goes_on_after_a_fault(faulty: FaultyProgram, fault: Fault, stdout: bytes) -> None:
    faulty.arm(fault, b'"b"')
    assert not faulty.happened
    assert run(faulty.path).stdout == stdout
    assert faulty.happened


@pytest.mark.parametrize(
    ("fault", "stdout", "code"),
    [
        (cut_line(0), b'{"a":1}\n{"b"', 0),
        (exit_with(7, stderr=b"why\n"), b'{"a":1}\n', 7),
        (kill(), b'{"a":1}\n', -signal.SIGKILL),
    ],
)
def test_program_ends_at_a_fault(
    faulty: FaultyProgram, fault: Fault, stdout: bytes, code: int
) -> None:
    faulty.arm(fault, b'"b"')
    done = run(faulty.path)
    assert (done.stdout, done.returncode) == (stdout, code)
    assert (b"why\n" in done.stderr) is (code == 7)


def test_fault_happens_once(faulty: FaultyProgram) -> None:
    faulty.arm(insert(b"null"), b'"b"')
    assert b"null" in run(faulty.path).stdout
    assert run(faulty.path).stdout == LINES
    faulty.arm(insert(b"null"), b'"b"')
    assert b"null" in run(faulty.path).stdout


def test_much_can_be_written(faulty: FaultyProgram) -> None:
    faulty.arm(huge_line(1_000_000), b'"b"')
    assert len(run(faulty.path).stdout) > 1_000_000
    faulty.arm(flood_stderr(1_000_000), b'"b"')
    assert len(run(faulty.path).stderr) > 1_000_000


def test_signal_reaches_the_real_program(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, say(b"ready\n"), wait_for())
    faulty = FaultyProgram(tmp_path, fake.path)
    with subprocess.Popen([faulty.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.terminate()
        assert program.wait() == -signal.SIGTERM


SERVER = """#!{python} -IS
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        kind = "text/event-stream" if self.path == "/events" else "text/plain"
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for data in (b"data: one\\n\\nda", b"ta: two\\n\\n", b""):
            self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{{server.server_port}}", flush=True)
server.serve_forever()
"""


def test_events_of_a_server_are_spoiled_on_their_way(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text(SERVER.format(python=sys.executable))
    program.chmod(0o755)
    faulty = FaultyProgram(tmp_path, program, http=True)
    faulty.arm(insert(b"null"), b"two")
    with subprocess.Popen([faulty.path], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1].decode()
            assert get(f"{url}/plain") == b"data: one\n\ndata: two\n\n"
            assert get(f"{url}/events") == b"data: one\n\ndata: null\n\ndata: two\n\n"
            assert get(f"{url}/events") == b"data: one\n\ndata: two\n\n"
        finally:
            server.terminate()


def get(url: str) -> bytes:
    answer: Any
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
        data: bytes = answer.read()
        return data
