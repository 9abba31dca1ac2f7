"""Starting programs and talking to them."""

from __future__ import annotations

import contextlib
import itertools
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import ProcessError, ProgramNotFoundError
from caw_core.process import LineSplitter, Process, ProcessExit, child_environment

WAIT = 30.0


# ----------------------------------------------------------------------------------------- output


def test_lines_come_in_order_and_the_exit_after_the_last(run: Any) -> None:
    program = run("for n in range(1000): print(n)\nraise SystemExit(3)")
    assert program.ended.wait(WAIT)
    assert program.lines == [str(n).encode() for n in range(1000)]
    assert program.exits == [ProcessExit(code=3, signal=None)]
    assert not program.process.running


def test_flood_on_stderr_blocks_nothing(run: Any) -> None:
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


def test_line_of_twenty_megabytes_arrives_whole(run: Any) -> None:
    program = run("print('y' * 20_000_000); print('z')")
    assert program.ended.wait(WAIT)
    assert [len(line) for line in program.lines] == [20_000_000, 1]


def test_invalid_utf8_arrives_as_it_was_written(run: Any) -> None:
    program = run(r"import os; os.write(1, b'\xff\xfe {}\n\xe2\x80\xa8x\n'); os.write(2, b'\xff')")
    assert program.ended.wait(WAIT)
    assert program.lines == [b"\xff\xfe {}", b"\xe2\x80\xa8x"]
    assert program.process.stderr_tail == "\N{REPLACEMENT CHARACTER}"


def test_last_line_needs_no_end(run: Any) -> None:
    program = run(r"import os; os.write(1, b'a\r\nb')")
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


def test_input_larger_than_a_pipe_arrives_while_the_program_writes(run: Any) -> None:
    code = "import sys\nfor line in sys.stdin: print(len(line)); print('o' * 100_000)"
    program = run(code)
    for _ in range(20):
        program.process.write(b"i" * 1_000_000 + b"\n")
    program.process.stop(WAIT)
    assert program.lines[0::2] == [b"1000001"] * 20


def test_write_to_a_program_that_does_not_read_is_released_by_stop(run: Any) -> None:
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


def test_second_writer_may_give_up_waiting(run: Any) -> None:
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


def test_write_to_a_dead_program_says_how_it_ended(run: Any) -> None:
    program = run("import sys; print('no config', file=sys.stderr); sys.exit(7)")
    assert program.ended.wait(WAIT)
    with pytest.raises(ProcessError) as caught:
        program.process.write(b"x")
    error = caught.value
    assert (error.exit_code, error.signal) == (7, None)
    assert "no config" in error.stderr_tail
    assert "no config" in str(error)


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


def test_prompt_of_a_program_is_not_its_argument(run: Any) -> None:
    program = run("import sys; print('up'); sys.stdin.read()", "visible")
    program.process.write(b"secret prompt")
    # While the system still puts the program in place it has no arguments to show.
    assert program.said.wait(WAIT)
    if sys.platform.startswith("linux"):
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


def test_what_the_program_starts_carries_its_marker(run: Any) -> None:
    show = "import os; print(os.environ['CAW_PROCESS_ID'])"
    program = run(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])", show
    )
    assert program.process.wait(WAIT)
    assert program.process.marker in program.lines[0].decode().split(":")


def test_program_that_ends_at_once_is_handed_over_with_its_end(tmp_path: Path) -> None:
    # It may be gone before the caller has the object, so the callback gets it.
    ended: queue.SimpleQueue[Process] = queue.SimpleQueue()
    Process(
        [sys.executable, "-c", "import os; os.write(2, b'last words\\n'); os._exit(3)"],
        cwd=tmp_path,
        env=child_environment({}),
        on_line=lambda _: None,
        on_exit=ended.put,
    )
    error = ended.get(timeout=WAIT).exit_error("the abacus ended")
    assert (error.exit_code, error.stderr_tail) == (3, "last words\n")
