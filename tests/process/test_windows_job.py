"""Job objects: what can be tested anywhere, and what only Windows has."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from caw_core.process import windows_job
from caw_core.process.windows_job import (
    BasicAccounting,
    BasicLimits,
    ExtendedLimits,
    IoCounters,
    ThreadEntry,
)

WAIT = 30.0

windows = pytest.mark.skipif(sys.platform != "win32", reason="job objects are Windows's")

# From winnt.h and tlhelp32.h of the SDK, compiled for x64: MinGW-w64's headers give the same.
LAYOUTS: dict[type[ctypes.Structure], tuple[int, dict[str, int]]] = {
    BasicLimits: (
        64,
        {
            "PerProcessUserTimeLimit": 0,
            "PerJobUserTimeLimit": 8,
            "LimitFlags": 16,
            "MinimumWorkingSetSize": 24,
            "MaximumWorkingSetSize": 32,
            "ActiveProcessLimit": 40,
            "Affinity": 48,
            "PriorityClass": 56,
            "SchedulingClass": 60,
        },
    ),
    IoCounters: (
        48,
        {
            "ReadOperationCount": 0,
            "WriteOperationCount": 8,
            "OtherOperationCount": 16,
            "ReadTransferCount": 24,
            "WriteTransferCount": 32,
            "OtherTransferCount": 40,
        },
    ),
    ExtendedLimits: (
        144,
        {
            "BasicLimitInformation": 0,
            "IoInfo": 64,
            "ProcessMemoryLimit": 112,
            "JobMemoryLimit": 120,
            "PeakProcessMemoryUsed": 128,
            "PeakJobMemoryUsed": 136,
        },
    ),
    BasicAccounting: (
        48,
        {
            "TotalUserTime": 0,
            "TotalKernelTime": 8,
            "ThisPeriodTotalUserTime": 16,
            "ThisPeriodTotalKernelTime": 24,
            "TotalPageFaultCount": 32,
            "TotalProcesses": 36,
            "ActiveProcesses": 40,
            "TotalTerminatedProcesses": 44,
        },
    ),
    ThreadEntry: (
        28,
        {
            "dwSize": 0,
            "cntUsage": 4,
            "th32ThreadID": 8,
            "th32OwnerProcessID": 12,
            "tpBasePri": 16,
            "tpDeltaPri": 20,
            "dwFlags": 24,
        },
    ),
}


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layouts are those of x64")
@pytest.mark.parametrize("structure", LAYOUTS, ids=lambda structure: structure.__name__)
def test_structure_is_laid_out_as_windows_has_it(structure: type[ctypes.Structure]) -> None:
    size, offsets = LAYOUTS[structure]
    assert ctypes.sizeof(structure) == size
    names = [field[0] for field in structure._fields_]
    assert {name: getattr(structure, name).offset for name in names} == offsets


def test_handles_are_passed_whole() -> None:
    # Without a type, ctypes passes an int of 32 bits, and a handle has 64.
    for name, (result, arguments) in windows_job.CALLS.items():
        assert result is not None
        if "Handle" in name or "Job" in name:
            assert ctypes.c_void_p in (result, *arguments), name


@pytest.mark.skipif(sys.platform == "win32", reason="there it is not refused")
def test_job_object_elsewhere_is_an_error_that_says_so() -> None:
    with pytest.raises(OSError, match="Windows"):
        windows_job.Job()


# ------------------------------------------------------------------------------------ on Windows

# Each process of the tree holds a connection, which its end closes, however it comes.
TREE = """
import socket, subprocess, sys, time
port, depth = int(sys.argv[1]), int(sys.argv[2])
line = socket.create_connection(("127.0.0.1", port))
if depth:
    # In a console and a group of its own, as far away as a process gets.
    subprocess.Popen([sys.executable, "-c", sys.argv[3], str(port), str(depth - 1), sys.argv[3]],
        creationflags=0x208)
{end}
"""
STAY = TREE.replace("{end}", "time.sleep(600)")
LEAVE = TREE.replace("{end}", "line.recv(1)")
DEPTH = 2


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)
        yield listener


def members(listener: socket.socket) -> list[socket.socket]:
    """Return the connections of all processes of a tree, once all of them run."""
    return [listener.accept()[0] for _ in range(DEPTH + 1)]


def end(lines: list[socket.socket]) -> bool:
    """Wait until the process at the other end of each line is gone."""
    for line in lines:
        line.settimeout(WAIT)
        with line:
            try:
                if line.recv(1):
                    return False
            except ConnectionError:
                continue
    return True


@windows
def test_whole_tree_ends_with_stop(run: Any, listener: socket.socket) -> None:
    program = run(STAY, str(listener.getsockname()[1]), str(DEPTH), STAY)
    lines = members(listener)
    program.process.stop(0.2)
    assert end(lines)
    assert program.exits[0].signal is None


@windows
def test_what_a_program_leaves_ends_after_it(run: Any, listener: socket.socket) -> None:
    program = run(LEAVE, str(listener.getsockname()[1]), str(DEPTH), STAY)
    lines = members(listener)
    for line in lines:
        line.send(b"leave")  # of which only the first takes notice
    assert program.ended.wait(WAIT)
    assert program.exits[0].code == 0
    assert end(lines)


@windows
@pytest.mark.parametrize("way", ["kill", "os._exit(0)", "sys.exit(0)", "os.abort()"])
def test_whole_tree_ends_with_its_host(listener: socket.socket, way: str) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from caw_core.process import Process, child_environment
port, depth, tree = sys.argv[1:]
Process([sys.executable, "-c", tree, port, depth, tree], cwd=Path.cwd(),
    env=child_environment({{}}), on_line=lambda _: None)
input()
{way if way != "kill" else "time.sleep(600)"}
"""
    command = [sys.executable, "-c", code, str(listener.getsockname()[1]), str(DEPTH), STAY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
    ) as host:
        assert host.stdin is not None
        lines = members(listener)
        if way == "kill":
            host.kill()
        else:
            host.stdin.write(b"\n")
            host.stdin.flush()
        assert end(lines)


@windows
def test_stop_of_a_program_that_obeys_is_not_a_kill(run: Any) -> None:
    program = run(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGBREAK, lambda *_: (print('break'), sys.exit(0)))\n"
        "print('ready')\nwhile True: time.sleep(0.1)"
    )
    assert program.said.wait(WAIT)
    program.process.stop(5)
    assert program.lines == [b"ready", b"break"]
