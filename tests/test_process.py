"""The process engine, with real programs: small Python scripts."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import ProcessError, ProgramNotFoundError
from caw_core.process import (
    LineSplitter,
    Process,
    ProcessExit,
    child_environment,
    kill_marked,
    new_marker,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and groups of POSIX")

WAIT = 30.0
Run = Callable[..., "Program"]


class Program:
    """A Python program under the engine, with what it said."""

    def __init__(self, code: str, cwd: Path, *args: str, **options: Any) -> None:
        self.lines: list[bytes] = []
        self.exits: list[ProcessExit] = []
        self.said = threading.Event()
        self.ended = threading.Event()
        self.process = Process(
            [sys.executable, "-u", "-c", code, *args],
            cwd=cwd,
            env=child_environment({}),
            on_line=self._line,
            on_exit=self._exit,
            **options,
        )

    def _line(self, line: bytes) -> None:
        self.lines.append(line)
        self.said.set()

    def _exit(self, process: Process) -> None:
        assert process.exit is not None
        self.exits.append(process.exit)
        self.ended.set()

    def pid_line(self) -> int:
        """Wait for the first line, which is a process id."""
        assert self.said.wait(WAIT)
        return int(self.lines[0])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    programs: list[Program] = []

    def start(code: str, *args: str, **options: Any) -> Program:
        programs.append(Program(code, tmp_path, *args, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait(WAIT)


def gone(pid: int, seconds: float = WAIT) -> bool:
    """Wait until a process is dead; a zombie that its parent has not fetched is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            if not Path("/proc/self").exists():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 0)
                    continue
            return True
        time.sleep(0.02)
    return False


# ----------------------------------------------------------------------------------------- output


def test_lines_come_in_order_and_the_exit_after_the_last(run: Run) -> None:
    program = run("for n in range(1000): print(n)\nraise SystemExit(3)")
    assert program.ended.wait(WAIT)
    assert program.lines == [str(n).encode() for n in range(1000)]
    assert program.exits == [ProcessExit(code=3, signal=None)]
    assert not program.process.running


def test_flood_on_stderr_blocks_nothing(run: Run) -> None:
    code = (
        "import os\nfor _ in range(1600): os.write(2, b'x' * 65536)\n"
        "os.write(2, b'the end'); print('done')"
    )
    program = run(code)
    assert program.ended.wait(WAIT)
    assert program.lines == [b"done"]
    tail = program.process.stderr_tail
    assert tail.endswith("the end")
    assert len(tail) <= 16 * 1024


def test_line_of_twenty_megabytes_arrives_whole(run: Run) -> None:
    program = run("print('y' * 20_000_000); print('z')")
    assert program.ended.wait(WAIT)
    assert [len(line) for line in program.lines] == [20_000_000, 1]


def test_invalid_utf8_arrives_as_it_was_written(run: Run) -> None:
    program = run(r"import os; os.write(1, b'\xff\xfe {}\n\xe2\x80\xa8x\n'); os.write(2, b'\xff')")
    assert program.ended.wait(WAIT)
    assert program.lines == [b"\xff\xfe {}", b"\xe2\x80\xa8x"]
    assert program.process.stderr_tail == "\N{REPLACEMENT CHARACTER}"


def test_last_line_needs_no_end(run: Run) -> None:
    program = run("import sys; sys.stdout.write('a\\r\\nb')")
    assert program.ended.wait(WAIT)
    assert program.lines == [b"a", b"b"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    lines = []
    for a, b in itertools.pairwise(places):
        lines += splitter.feed(data[a:b])
    lines += splitter.flush()
    whole = LineSplitter()
    assert lines == whole.feed(data) + whole.flush()


# ------------------------------------------------------------------------------------------ input


def test_input_larger_than_a_pipe_arrives_while_the_program_writes(run: Run) -> None:
    code = "import sys\nfor line in sys.stdin: print(len(line)); print('o' * 100_000)"
    program = run(code)
    for _ in range(20):
        program.process.write(b"i" * 1_000_000 + b"\n")
    program.process.stop(WAIT)
    assert program.lines[0::2] == [b"1000001"] * 20


def test_write_to_a_program_that_does_not_read_is_released_by_stop(run: Run) -> None:
    program = run("import time; print(1); time.sleep(600)")
    assert program.said.wait(WAIT)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            program.process.write(b"x" * 10_000_000)
        except ProcessError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    program.process.stop(0.2)
    writer.join(WAIT)
    assert not writer.is_alive()
    assert isinstance(errors[0], ProcessError)


def test_second_writer_may_give_up_waiting(run: Run) -> None:
    program = run("import time; print(1); time.sleep(600)")
    assert program.said.wait(WAIT)

    def write() -> None:
        with contextlib.suppress(ProcessError):
            program.process.write(b"x" * 10_000_000)

    first = threading.Thread(target=write)
    first.start()

    def write_until_blocked() -> None:
        # Until the first one has begun, a short write goes through and is tried again.
        while True:
            program.process.write(b"x", wait=0.01)

    with pytest.raises(ProcessError, match="does not read"):
        write_until_blocked()
    program.process.stop(0.1)
    first.join(WAIT)


def test_write_to_a_dead_program_says_how_it_ended(run: Run) -> None:
    program = run("import sys; print('no config', file=sys.stderr); sys.exit(7)")
    assert program.ended.wait(WAIT)
    with pytest.raises(ProcessError) as caught:
        program.process.write(b"x")
    error = caught.value
    assert (error.exit_code, error.signal) == (7, None)
    assert "no config" in error.stderr_tail
    assert "no config" in str(error)


# ----------------------------------------------------------------------------------------- ending


def test_stop_closes_stdin_first(run: Run) -> None:
    program = run("import sys; sys.stdin.read(); print('bye')")
    program.process.stop(WAIT)
    assert program.lines == [b"bye"]
    assert program.process.exit == ProcessExit(code=0, signal=None)


def test_stop_sends_sigterm_next(run: Run) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('term'), sys.exit(0)))\n"
        "print('ready'); time.sleep(600)"
    )
    program = run(code)
    assert program.said.wait(WAIT)
    program.process.stop(0.2)
    assert program.lines == [b"ready", b"term"]


def test_stop_kills_who_ignores_everything(run: Run) -> None:
    code = (
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n"
        "print('ready')\nwhile True: time.sleep(600)"
    )
    program = run(code)
    assert program.said.wait(WAIT)
    program.process.stop(0.1)
    assert program.ended.wait(WAIT)
    assert program.exits == [ProcessExit(code=None, signal=signal.SIGKILL)]


def test_stop_is_idempotent_from_many_threads(run: Run) -> None:
    program = run("import sys; sys.stdin.read()")
    threads = [threading.Thread(target=program.process.stop, args=(WAIT,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    program.process.stop()
    assert len(program.exits) == 1


CHILD = """
import subprocess, sys, time
p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']{how})
print(p.pid)
"""


@pytest.mark.parametrize("how", ["", ", start_new_session=True"])
@pytest.mark.parametrize("end", ["time.sleep(600)", ""])
def test_grandchildren_die_too(run: Run, how: str, end: str) -> None:
    if how and not sys.platform.startswith("linux"):
        pytest.skip("a program that left its group is found through /proc")
    program = run(CHILD.replace("{how}", how) + end)
    grandchild = program.pid_line()
    if end:
        program.process.stop(0.1)
    assert program.ended.wait(WAIT)
    assert gone(grandchild)


def test_exit_is_told_although_a_grandchild_holds_the_pipes(run: Run) -> None:
    program = run(CHILD.replace("{how}", ", start_new_session=True, env={}"))
    grandchild = program.pid_line()
    try:
        assert program.ended.wait(WAIT)
    finally:
        # It left the group and threw its environment away: nothing but its number is left of it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, signal.SIGKILL)


HOST = """
import sys, threading, time
from pathlib import Path
from caw_core.process import Process, child_environment
code = sys.argv[1]
said = threading.Event()
def say(line): print(line.decode(), flush=True); said.set()
def start(*argv):
    argv = [sys.executable, "-u", "-c", *argv]
    return Process(argv, cwd=Path.cwd(), env=child_environment({}), on_line=say)
p = start(code)
said.wait()
print(p.pid, flush=True)
{then}
"""

STUBBORN = f"""
import queue
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{CHILD.replace("{how}", ", start_new_session=True")}
while True: time.sleep(600)
"""


@contextlib.contextmanager
def host(then: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run a host that runs a stubborn program; yield it and the pids of what it started."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST.replace("{then}", then), STUBBORN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as popen:
        assert popen.stdout is not None
        pids = [int(popen.stdout.readline()) for _ in range(2)]
        try:
            yield popen, pids
        finally:
            popen.kill()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one of them left its group")
def test_nothing_outlives_a_host_that_is_killed() -> None:
    with host("time.sleep(600)") as (popen, pids):
        popen.send_signal(signal.SIGKILL)
        popen.wait(WAIT)
        assert all(gone(pid, 5.0) for pid in pids)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one of them left its group")
def test_nothing_outlives_a_host_that_exits() -> None:
    with host("sys.stdin.readline()") as (popen, pids):
        popen.communicate("go on\n", timeout=WAIT)
        assert popen.returncode == 0
        assert all(gone(pid, 5.0) for pid in pids)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one of them left its group")
def test_nothing_outlives_a_killed_host_whose_fork_lives_on() -> None:
    # The fork holds the pipe to the reaper open; the reaper must look at its parent, too.
    then = "import os\nif os.fork() == 0: time.sleep(20); os._exit(0)\ntime.sleep(600)"
    with host(then) as (popen, pids):
        popen.send_signal(signal.SIGKILL)
        popen.wait(WAIT)
        assert all(gone(pid, 5.0) for pid in pids)
        # The fork still has our end of the pipe; it ends by itself.
        assert popen.stdout is not None
        popen.stdout.close()


def test_fork_that_exits_leaves_its_parents_programs_alone() -> None:
    then = (
        "import os\npid = os.fork()\nif pid == 0: sys.exit(0)\nos.waitpid(pid, 0)\n"
        "print('running' if p.running else 'ended', flush=True)\nsys.stdin.readline()"
    )
    with host(then) as (popen, pids):
        assert popen.stdout is not None
        assert popen.stdout.readline() == "running\n"
        assert not gone(pids[1], 0.1)


def test_fork_may_start_programs_of_its_own() -> None:
    then = (
        "import os, threading\npid = os.fork()\n"
        "if pid == 0:\n"
        "    start('print(42)').wait(20); os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    with host(then) as (popen, _):
        assert popen.stdout is not None
        assert popen.stdout.readline() == "42\n"


# --------------------------------------------------------------------------------------- starting


def test_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="npm install") as caught:
        Process(
            ["no-such-program-at-all"],
            cwd=tmp_path,
            env={},
            on_line=lambda _: None,
            install_hint="Try npm install.",
        )
    assert caught.value.program == "no-such-program-at-all"


def test_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no such folder"):
        Process([sys.executable], cwd=tmp_path / "gone", env={}, on_line=lambda _: None)


def test_file_that_is_no_program_is_a_process_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ProcessError, match="could not be started"):
        Process([str(tmp_path / "text")], cwd=tmp_path, env={}, on_line=lambda _: None)


def test_prompt_of_a_program_is_not_its_argument(run: Run) -> None:
    program = run("import sys; print('up'); sys.stdin.read()", "visible")
    program.process.write(b"secret prompt")
    # While the system still puts the program in place it has no arguments to show.
    assert program.said.wait(WAIT)
    if Path("/proc").is_dir():
        shown = Path(f"/proc/{program.process.pid}/cmdline").read_bytes()
        assert b"visible" in shown
        assert b"secret" not in shown


def test_none_takes_a_variable_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOES", "1")
    monkeypatch.setenv("STAYS", "1")
    environment = child_environment({"GOES": None, "COMES": "2"})
    assert "GOES" not in environment
    assert (environment["STAYS"], environment["COMES"]) == ("1", "2")


def test_callback_that_fails_does_not_stop_the_reading(tmp_path: Path) -> None:
    # A decoder's bug must not become a program that blocks because nobody reads it.
    ended = threading.Event()
    lines: list[bytes] = []

    def fail(line: bytes) -> None:
        lines.append(line)
        raise ValueError(line)

    Process(
        [sys.executable, "-c", "for n in range(20_000): print(n)"],
        cwd=tmp_path,
        env=child_environment({}),
        on_line=fail,
        on_exit=lambda _: ended.set(),
    )
    assert ended.wait(WAIT)
    assert len(lines) == 20_000


def test_what_the_program_starts_carries_its_marker(run: Run) -> None:
    show = "import os; print(os.environ['CAW_PROCESS_ID'])"
    program = run(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])", show
    )
    assert program.process.wait(WAIT)
    assert program.process.marker in program.lines[0].decode().split(":")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="environments are in /proc")
def test_marked_processes_are_ended_and_others_are_not(tmp_path: Path) -> None:
    own, other = new_marker(), new_marker()
    sleeping = [
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            cwd=tmp_path,
            env=child_environment({"MY_MARK": mark}),
        )
        for mark in (own, other)
    ]
    try:
        kill_marked(own, variable="MY_MARK", seconds=0)
        assert sleeping[0].wait(WAIT) == -signal.SIGKILL
        assert sleeping[1].poll() is None
    finally:
        for process in sleeping:
            process.kill()
            process.wait()


def test_program_that_ends_at_once_is_handed_over_with_its_end(tmp_path: Path) -> None:
    # It may be gone before the caller has the object, so the callback gets it.
    ended: queue.SimpleQueue[Process] = queue.SimpleQueue()
    Process(
        ["/bin/sh", "-c", "echo last words >&2; exit 3"],
        cwd=tmp_path,
        env={},
        on_line=lambda _: None,
        on_exit=ended.put,
    )
    error = ended.get(timeout=WAIT).exit_error("the abacus ended")
    assert (error.exit_code, error.stderr_tail) == (3, "last words\n")
