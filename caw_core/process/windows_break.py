"""A small program that sends Ctrl-Break to a process group in another console, on Windows.

Run as ``python -I -S windows_break.py PID``; imports nothing but the standard library. A console
event reaches only groups that share the sender's console, and a program of ours has one of its own.
A process has one console at a time, so the host would have to leave its own for the moment, with
whatever its other threads print. This one has nothing to lose.
"""

from __future__ import annotations

import ctypes
import sys

CTRL_BREAK_EVENT = 1


def send_break(pid: int) -> bool:
    """Send it to the group that *pid* leads; False if that has no console, or is gone."""
    if sys.platform != "win32":
        return False
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.FreeConsole()
    attached = kernel32.AttachConsole(ctypes.c_uint32(pid))
    return bool(
        attached and kernel32.GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, ctypes.c_uint32(pid))
    )


if __name__ == "__main__":
    sys.exit(not send_break(int(sys.argv[1])))
