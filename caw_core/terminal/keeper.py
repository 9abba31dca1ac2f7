"""The process beside the host that holds the user's terminal while a program runs on a pty.

Run for `caw_core.terminal.kept_program.KeptProgram`, by way of `caw_core.terminal.beside.Beside`.
It has one thread, so it may fork; it gets the terminal's signals whatever thread of the host
asked; and when the host is killed, it is still there to give the terminal back. It answers with
``{"pid": …}``, with ``{"undo": …}`` when that has changed, and at the end with
``{"exit_code": …, "length": …}`` and that many bytes of output.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from collections import deque
from typing import Any

from caw_core.terminal.screen_modes import ScreenModes

assert sys.platform != "win32"  # noqa: S101 - tells the type checker that the rest is POSIX

CHUNK = 65536
HEARD = (
    *(signal.SIGCHLD, signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGTSTP, signal.SIGCONT, signal.SIGINT, signal.SIGQUIT),
)
LAST_READS = 64
"""Bounds what is read of a program that has ended, since something that it left may write on."""


class Keeper:
    """Runs one program in the user's terminal.

    Args:
        control: the way to the host.
        spec: what to run, see `caw_core.terminal.handover.hand_over`.
    """

    def __init__(self, control: socket.socket, spec: dict[str, Any]) -> None:
        self._control = control
        self._spec = spec
        self._modes = ScreenModes()
        self._told_undo = b""
        self._kept: deque[bytes] = deque()
        self._kept_size = 0
        self._input = b""
        self._open = True
        self._status: int | None = None
        self._end_by: float | None = None
        self._host_lives = True
        self._before = self._raw = termios.tcgetattr(0)
        self._came: set[int] = set()
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        for number in HEARD:
            # A handler and not SIG_IGN, which the program would inherit.
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def run(self, *, ended: bool) -> None:
        """Run the program, give the terminal back, and tell the host.

        Args:
            ended: the host has asked for its end already.
        """
        try:
            self._start()
        except OSError as error:
            absent = isinstance(error, FileNotFoundError)
            number = errno.ENOENT if absent else error.errno or 0
            self._tell({"errno": number, "error": str(error)})
            return
        try:
            self._take_terminal()
            self._tell({"pid": self._pid})
            if ended:
                self._end()
            while self._status is None:
                self._once()
            self._last_words()
        finally:
            self._give_back()
        output = b"".join(self._kept)[-self._spec["capture_bytes"] :]
        code = os.waitstatus_to_exitcode(self._status)
        self._tell({"exit_code": code if code >= 0 else 128 - code, "length": len(output)}, output)

    # ------------------------------------------------------------------------------- the program

    def _start(self) -> None:
        from ptyprocess import PtyProcess  # type: ignore[import-untyped]  # it has no types

        stdin = self._spec["stdin"]
        # Until the fork has become the program, a signal would find half of us there.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            self._pty = PtyProcess.spawn(
                self._spec["argv"],
                env=self._spec["env"],
                preexec_fn=self._in_child,
                dimensions=os.get_terminal_size(0)[::-1],
                pass_fds=() if stdin is None else (stdin,),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        self._pid, self._fd = self._pty.pid, self._pty.fd
        os.set_blocking(self._fd, False)
        if stdin is not None:
            os.close(stdin)

    def _in_child(self) -> None:
        os.chdir(self._spec["cwd"])
        # Its terminal begins as the user's is, with the same keys.
        termios.tcsetattr(1, termios.TCSANOW, self._before)
        for name in ("SIGPIPE", "SIGXFSZ"):
            # Python ignores them, and what is ignored is inherited.
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        if self._spec["stdin"] is not None:
            os.dup2(self._spec["stdin"], 0)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)

    def _look_after(self) -> None:
        while self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return
            if os.WIFSTOPPED(status):
                # With it the host, of whom the shell is told that the job has stopped.
                self._suspend(0)
                continue
            # While a group of that number has members, nobody else gets the number.
            self._signal(signal.SIGKILL)
            self._status = status
            self._pty.terminated = True  # so that it does not look for it itself

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _end(self) -> None:
        if self._end_by is None:
            self._end_by = time.monotonic() + self._spec["grace"]
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

    # -------------------------------------------------------------------------------- one moment

    def _once(self) -> None:
        listen = [self._wake]
        if self._open:
            listen.append(self._fd)
        if self._host_lives:
            listen.append(self._control.fileno())
        if self._end_by is None and len(self._input) < CHUNK:
            listen.append(0)
        writable = [self._fd] if self._input else []
        ready, writable, _ = select.select(listen, writable, [], self._seconds_left())
        if self._seconds_left() == 0:
            self._signal(signal.SIGKILL)
            # It is gone in a moment, or the system does not let go of it.
            self._end_by = time.monotonic() + 1
        if self._wake in ready:
            self._signals()
        if self._control.fileno() in ready:
            self._hear_host()
        if self._fd in ready and self._status is None:
            self._show(self._read(self._fd))
        if 0 in ready:
            self._take_keys(self._read(0))
        if writable:
            with contextlib.suppress(OSError):
                self._input = self._input[os.write(self._fd, self._input) :]

    def _seconds_left(self) -> float | None:
        return None if self._end_by is None else max(0.0, self._end_by - time.monotonic())

    def _take_keys(self, typed: bytes) -> None:
        self._input += typed
        if not typed:
            # The terminal is gone.
            self._end()

    def _signals(self) -> None:
        self._hear_signals()
        came, self._came = self._came, set()
        if signal.SIGWINCH in came:
            self._resize()
        if came & {signal.SIGTERM, signal.SIGHUP}:
            self._end()
        if signal.SIGTSTP in came and signal.SIGCONT not in came:
            self._signal(signal.SIGSTOP)
            self._suspend(os.getpid())
        if signal.SIGCHLD in came:
            self._look_after()

    def _hear_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._came |= set(os.read(self._wake, CHUNK))

    def _hear_host(self) -> None:
        said = b""
        with contextlib.suppress(OSError):
            said = self._control.recv(CHUNK)
        if not said:
            self._host_lives = False
            # Whoever started the host has the terminal again, and we are in the background.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            self._restore()
        self._end()

    def _show(self, data: bytes) -> None:
        if not data:
            self._open = False
            return
        self._kept.append(data)
        self._kept_size += len(data)
        while self._kept_size - len(self._kept[0]) >= self._spec["capture_bytes"]:
            self._kept_size -= len(self._kept.popleft())
        self._modes.feed(data)
        # First: whoever is killed in between has left nothing on that nobody can undo.
        self._tell_undo()
        if not self._write(data):
            self._end()

    # ------------------------------------------------------------------------------- the terminal

    def _take_terminal(self) -> None:
        # What was typed ahead is the program's to read.
        tty.setraw(0, termios.TCSADRAIN)
        self._raw = termios.tcgetattr(0)
        self._resize()

    def _resize(self) -> None:
        # The system tells the program by SIGWINCH. A terminal that is gone has no size.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))

    def _suspend(self, whom: int) -> None:
        """Stop as a program that Ctrl-Z was typed to; return when it goes on."""
        self._last_words()
        self._give_back()
        # A stop that waits is called off by a SIGCONT, so none that comes too early is missed.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(whom, signal.SIGTSTP)
        self._hear_signals()
        if signal.SIGCONT in self._came:
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        # Here it is stopped; where no shell looks after jobs, the signal does nothing.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        signal.signal(signal.SIGTSTP, lambda *_: None)
        self._hear_signals()
        self._came.discard(signal.SIGCONT)
        self._take_terminal()
        self._write(self._modes.redo)
        self._signal(signal.SIGCONT)
        # Whatever the shell wrote is on its screen; it draws that anew as after a change of size.
        self._signal(signal.SIGWINCH)

    def _last_words(self) -> None:
        for _ in range(LAST_READS):
            if not self._open or not select.select([self._fd], [], [], 0)[0]:
                return
            self._show(self._read(self._fd))

    def _give_back(self) -> None:
        self._write(self._modes.undo)
        self._restore()

    def _restore(self) -> None:
        with contextlib.suppress(termios.error):
            # Without a host somebody else may have set it already.
            if self._host_lives or termios.tcgetattr(0) == self._raw:
                # What the terminal answered to the program's questions is nobody else's to read.
                termios.tcsetattr(0, termios.TCSAFLUSH, self._before)

    def _write(self, data: bytes) -> bool:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            return False
        return True

    # ----------------------------------------------------------------------------------- the rest

    @staticmethod
    def _read(fd: int) -> bytes:
        try:
            return os.read(fd, CHUNK)
        except OSError:
            # Linux says so where others say that it has ended.
            return b""

    def _tell_undo(self) -> None:
        undo = self._modes.undo
        if undo == self._told_undo:
            return
        told = json.dumps({"undo": undo.decode("latin-1")}).encode() + b"\n"
        # A host that is busy must not hold up the terminal; what it misses, the next one says.
        with contextlib.suppress(OSError):
            self._control.send(told, socket.MSG_DONTWAIT)
            self._told_undo = undo

    def _tell(self, message: dict[str, Any], data: bytes = b"") -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n" + data)


def run(control: socket.socket, told: dict[str, Any], *, ended: bool) -> None:
    """Run what the host says."""
    Keeper(control, told).run(ended=ended)
