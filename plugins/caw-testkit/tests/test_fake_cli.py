"""The program that replays what a test wrote down."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil

from caw_testkit.fake_cli import (
    FakeCli,
    close_stdout,
    complain,
    die,
    flood,
    grandchild,
    ignore_sigterm,
    leave,
    pause,
    say,
    wait_for,
)


def run(fake: FakeCli, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([fake.path, "-x"], input=stdin, capture_output=True, check=False)


def test_bytes_come_as_they_were_written_down(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, say(b"\xff\0half a li"), pause(0.01), say(b"ne"), complain(b"\xfe"))
    done = run(fake)
    assert (done.stdout, done.stderr, done.returncode) == (b"\xff\0half a line", b"\xfe", 0)


def test_program_tells_how_it_was_started(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, name="codex")
    assert fake.runs == []
    run(fake)
    run(fake)
    assert [(one.argv, one.cwd) for one in fake.runs] == [(("-x",), str(Path.cwd()))] * 2
    assert fake.path.name == "codex"
    assert fake.runs[0].env["PATH"] == os.environ["PATH"]


def test_input_is_read_as_far_as_it_is_waited_for(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, wait_for(), say(b"1"), wait_for(b"stop"), say(b"2"))
    assert run(fake, b"a\nb\nstop\nc\n").stdout == b"12"
    assert fake.stdin == b"a\nb\nstop\n"


def test_end_of_input_ends_the_waiting(tmp_path: Path) -> None:
    assert run(FakeCli(tmp_path, wait_for(b"never"), say(b"on"))).stdout == b"on"


def test_program_ends_as_it_is_told(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, leave(9), say(b"never"))
    assert (run(fake).returncode, run(fake).stdout) == (9, b"")
    fake.replay(die(signal.SIGKILL))
    assert run(fake).returncode == -signal.SIGKILL


def test_flood_goes_to_stderr(tmp_path: Path) -> None:
    done = run(FakeCli(tmp_path, flood(200_000)))
    assert len(done.stderr) >= 200_000


def test_stdout_can_be_closed_before_the_end(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, say(b"last"), close_stdout(), wait_for())
    with subprocess.Popen([fake.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.read() == b"last"
        assert program.poll() is None


def test_grandchild_outlives_the_program_and_holds_its_stdout(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, grandchild(600), leave(0))
    with subprocess.Popen([fake.path], stdout=subprocess.PIPE) as program:
        assert program.wait() == 0
        (pid,) = fake.grandchildren
        child = psutil.Process(pid)
        assert child.is_running()
        child.kill()
        assert program.stdout is not None
        assert program.stdout.read() == b""


def test_sigterm_can_be_ignored(tmp_path: Path) -> None:
    fake = FakeCli(tmp_path, ignore_sigterm(), say(b"ready\n"), wait_for(), leave(5))
    with subprocess.Popen([fake.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.terminate()
        program.communicate(b"\n")
        assert program.returncode == 5
