"""The stop ladder, and that it takes everything that a program started."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from caw_core.process import Process, ProcessExit, child_environment, kill_marked, new_marker
from caw_core.process.group import Listing
from caw_core.process.posix_tree import PosixTree, wait_unreaped

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and groups of POSIX")

WAIT = 30.0


def test_stop_closes_stdin_first(run: Any) -> None:
    program = run("import sys; sys.stdin.read(); print('bye')")
    program.process.stop(WAIT)
    assert program.lines == [b"bye"]
    assert program.process.exit == ProcessExit(code=0, signal=None)


def test_stop_sends_sigterm_next(run: Any) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('term'), sys.exit(0)))\n"
        "print('ready'); time.sleep(600)"
    )
    program = run(code)
    assert program.said.wait(WAIT)
    program.process.stop(0.2)
    assert program.lines == [b"ready", b"term"]


def test_stop_kills_who_ignores_everything(run: Any) -> None:
    code = (
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n"
        "print('ready')\nwhile True: time.sleep(600)"
    )
    program = run(code)
    assert program.said.wait(WAIT)
    program.process.stop(0.1)
    assert program.ended.wait(WAIT)
    assert program.exits == [ProcessExit(code=None, signal=signal.SIGKILL)]


def test_stop_is_idempotent_from_many_threads(run: Any) -> None:
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
def test_grandchildren_die_too(
    run: Any, gone: Any, listing: Listing | None, how: str, end: str
) -> None:
    # As on macOS also means that a program is reaped before its group is ended: see wait_unreaped.
    unreaped = wait_unreaped if listing is None else lambda _: False
    program = run(
        CHILD.replace("{how}", how) + end,
        tree=functools.partial(PosixTree, listing=listing, unreaped=unreaped),
    )
    grandchild = program.pid_line()
    if end:
        program.process.stop(0.1)
    assert program.ended.wait(WAIT)
    assert gone(grandchild)


def test_exit_is_told_although_a_grandchild_holds_the_pipes(run: Any) -> None:
    program = run(CHILD.replace("{how}", ", start_new_session=True, env={}"))
    grandchild = program.pid_line()
    try:
        assert program.ended.wait(WAIT)
    finally:
        # It left the group and threw its environment away: nothing but its number is left of it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, signal.SIGKILL)


def test_marked_processes_are_ended_and_others_are_not(
    tmp_path: Path, listing: Listing | None
) -> None:
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
        kill_marked(own, variable="MY_MARK", seconds=0, listing=listing)
        assert sleeping[0].wait(WAIT) == -signal.SIGKILL
        assert sleeping[1].poll() is None
    finally:
        for process in sleeping:
            process.kill()
            process.wait()


def test_three_hundred_short_programs_leave_nothing(tmp_path: Path) -> None:
    count = 300
    ended = threading.Semaphore(0)
    before = set(psutil.Process().children())
    files = psutil.Process().num_fds()
    for _ in range(count):
        Process(
            ["/bin/sh", "-c", "exit 0"],
            cwd=tmp_path,
            env={},
            on_line=lambda _: None,
            on_exit=lambda _: ended.release(),
        )
    for _ in range(count):
        assert ended.acquire(timeout=WAIT)
    # A zombie is a child that nobody fetched; the reaper stays for the next program.
    left = [child.cmdline() for child in set(psutil.Process().children()) - before]
    assert [command for command in left if not any("reaper.py" in word for word in command)] == []
    assert psutil.Process().num_fds() <= files + 2
    assert not [each for each in threading.enumerate() if each.name.startswith("caw-/bin/sh")]
