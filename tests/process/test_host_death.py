"""However a program that runs agents ends, they end with it, and what they started too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and groups of POSIX")

WAIT = 30.0
PROMISED = 5.0
"""Seconds within which nothing of a host that died is left."""

HOST = """
import asyncio, os, signal, sys, threading, time
from pathlib import Path
# A shell that starts something in the background has it ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT"):
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
from caw_core.process import Process, child_environment
said = threading.Event()
def say(line): print(line.decode(), flush=True); said.set()
def start(*argv):
    argv = [sys.executable, "-u", "-c", *argv]
    return Process(argv, cwd=Path.cwd(), env=child_environment({}), on_line=say)
p = start(sys.argv[1])
said.wait()
print(p.pid, flush=True)
{then}
"""

# Ignores what can be ignored, and so does its child, in a session of its own.
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(sleep, start_new_session=True).pid)
while True:
    time.sleep(600)
"""

Host = Callable[[str], tuple["subprocess.Popen[str]", list[int]]]


@pytest.fixture
def host() -> Iterator[Host]:
    """Run a host that runs a stubborn program; return it and the pids of what it started."""
    with contextlib.ExitStack() as stack:

        def start(then: str) -> tuple[subprocess.Popen[str], list[int]]:
            command = [sys.executable, "-c", HOST.replace("{then}", then), STUBBORN]
            popen = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            assert popen.stdout is not None
            pids = [int(popen.stdout.readline()) for _ in range(2)]
            stack.callback(end, popen, pids)
            return popen, pids

        yield start


def end(popen: subprocess.Popen[str], pids: list[int]) -> None:
    popen.kill()
    popen.wait()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


SLEEP = "time.sleep(600)"
IN_ASYNCIO = "asyncio.run(asyncio.sleep(600))"
A_THREAD_WRITES = "threading.Thread(target=p.write, args=(b'x' * 10_000_000,)).start()\n" + SLEEP
A_THREAD_WAITS = "threading.Thread(target=p.wait).start()\n" + SLEEP


@pytest.mark.parametrize(
    ("name", "then"),
    [
        ("SIGKILL", SLEEP),
        ("SIGKILL", IN_ASYNCIO),
        ("SIGKILL", A_THREAD_WRITES),
        ("SIGTERM", SLEEP),
        ("SIGTERM", IN_ASYNCIO),
        ("SIGTERM", A_THREAD_WRITES),
        ("SIGTERM", A_THREAD_WAITS),
        ("SIGINT", SLEEP),
        ("SIGINT", IN_ASYNCIO),
        ("SIGHUP", SLEEP),
        ("SIGQUIT", SLEEP),
    ],
)
def test_nothing_outlives_a_host_that_a_signal_ends(
    host: Host, gone: Any, name: str, then: str
) -> None:
    popen, pids = host(then)
    popen.send_signal(signal.Signals[name])
    popen.wait(WAIT)
    assert all(gone(pid, PROMISED) for pid in pids)


@pytest.mark.parametrize(
    "then",
    [
        "",
        "sys.exit(3)",
        "raise SystemExit",
        "raise ZeroDivisionError",
        "os._exit(0)",
        "os.abort()",
        "threading.Thread(target=os._exit, args=(0,)).start(); " + SLEEP,
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_nothing_outlives_a_host_that_ends_by_itself(host: Host, gone: Any, then: str) -> None:
    popen, pids = host(then)
    popen.wait(WAIT)
    assert all(gone(pid, PROMISED) for pid in pids)


def test_nothing_outlives_a_killed_host_whose_fork_lives_on(host: Host, gone: Any) -> None:
    popen, pids = host("if os.fork() == 0: sys.stdin.read(); os._exit(0)\n" + SLEEP)
    popen.send_signal(signal.SIGKILL)
    popen.wait(WAIT)
    assert all(gone(pid, PROMISED) for pid in pids)
    # The fork ends with its stdin, and has our end of the other pipe until then.
    assert popen.stdin is not None
    popen.stdin.close()


def test_nothing_outlives_a_killed_host_whose_fork_was_not_of_python(host: Host, gone: Any) -> None:
    # No handler of Python's runs in it, so it holds the pipe to the reaper open.
    popen, pids = host(
        "import ctypes\npid = ctypes.PyDLL(None).fork()\n"
        "if pid == 0: ctypes.PyDLL(None).pause()\nprint(pid, flush=True)\n" + SLEEP
    )
    assert popen.stdout is not None
    fork = int(popen.stdout.readline())
    popen.send_signal(signal.SIGKILL)
    popen.wait(WAIT)
    try:
        assert all(gone(pid, PROMISED) for pid in pids)
    finally:
        os.kill(fork, signal.SIGKILL)


def test_host_that_is_stopped_is_not_dead(host: Host) -> None:
    popen, pids = host(SLEEP)
    [reaper] = [child for child in psutil.Process(popen.pid).children() if child.pid not in pids]
    popen.send_signal(signal.SIGSTOP)
    seen = reaper.num_ctx_switches().voluntary
    # Each time that it looks for its host it sleeps again.
    while reaper.num_ctx_switches().voluntary < seen + 2:
        assert reaper.is_running()
        time.sleep(0.05)
    assert not any(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


def test_fork_that_exits_leaves_its_parents_programs_alone(host: Host) -> None:
    popen, pids = host(
        "pid = os.fork()\nif pid == 0: sys.exit(0)\nos.waitpid(pid, 0)\n"
        "print('running' if p.running else 'ended', flush=True)\nsys.stdin.readline()"
    )
    assert popen.stdout is not None
    assert popen.stdout.readline() == "running\n"
    assert not any(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


def test_fork_may_start_programs_of_its_own(host: Host) -> None:
    popen, _ = host(
        "pid = os.fork()\nif pid == 0:\n    start('print(42)').wait(20); os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    assert popen.stdout is not None
    assert popen.stdout.readline() == "42\n"
