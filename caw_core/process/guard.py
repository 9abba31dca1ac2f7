"""The host's side of the promise that no agent outlives it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from caw_core.at_exit import PROGRAMS, at_exit
from caw_core.process.hosts import HostFile

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("caw.process")


class _Stoppable(Protocol):
    def kill(self) -> None: ...


class HostGuard:
    """Knows the programs that this process started, and has them ended when it goes.

    An orderly exit ends them from ``atexit``; a killed host is seen by `caw_core.process.reaper`.
    One instance per process; a fork starts with an empty one and leaves its parent's alone.
    """

    def __init__(self) -> None:
        self.marker = uuid.uuid4().hex
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._live: dict[int, _Stoppable] = {}
        self._reaper: subprocess.Popen[bytes] | None = None
        self._file: HostFile | None = None

    def start(self, launch: Callable[[], tuple[int, _Stoppable]]) -> None:
        """Launch a program under guard; the reaper is there first, so no moment is uncovered."""
        with self._lock:
            # On Windows the system ends what is started, a job object, together with this process.
            if sys.platform != "win32":
                if self._file is None:
                    self._file = HostFile(self.marker)
                if self._reaper is None:
                    self._start_reaper()
        pgid, process = launch()
        with self._lock:
            self._live[pgid] = process
            self._tell(f"+{pgid}\n")
            if self._file is not None:
                self._file.note(f"+{pgid} {time.time():.0f}")

    def forget(self, pgid: int) -> None:
        """The program and its group are gone."""
        with self._lock:
            if self._live.pop(pgid, None) is not None:
                self._tell(f"-{pgid}\n")
                if self._file is not None:
                    self._file.note(f"-{pgid}")

    def leave_to_parent(self) -> None:
        """Have nothing to do with all this any more: this process is a fork of the one it is of."""
        if self._file is not None:
            self._file.let_go()
        if self._reaper is not None and self._reaper.stdin is not None:
            # While a fork holds it open, the reaper does not see the host's end at once.
            self._reaper.stdin.close()

    def stop_all(self) -> None:
        """End everything at once; the interpreter is exiting."""
        if os.getpid() != self._pid:
            return
        for pgid, process in list(self._live.items()):
            process.kill()
            with self._lock:
                self._tell(f"-{pgid}\n")
        with self._lock:
            reaper, self._reaper = self._reaper, None
            if self._file is not None:
                self._file.remove()
        if reaper is not None and reaper.stdin is not None:
            # With nothing on its list it ends at once.
            reaper.stdin.close()
            reaper.wait()

    def _start_reaper(self) -> None:
        script = Path(__file__).with_name("reaper.py")
        try:
            self._reaper = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                [
                    *(sys.executable, "-I", "-S", str(script)),
                    *(str(self._pid), self.marker, str(self._file.path if self._file else "")),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a buffer has a lock, which a fork may find locked
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            log.warning("agents will outlive this process if it is killed: no reaper: %s", error)

    def _tell(self, line: str) -> None:
        if self._reaper is None or self._reaper.stdin is None:
            return
        try:
            os.write(self._reaper.stdin.fileno(), line.encode())
        except (OSError, ValueError):
            log.warning("the process that cleans up after this one is gone; starting another")
            self._reaper.stdin.close()
            self._reaper.wait()
            self._start_reaper()
            for pgid in self._live:
                if self._reaper.stdin is not None:
                    os.write(self._reaper.stdin.fileno(), f"+{pgid}\n".encode())


_guard = HostGuard()


def host_guard() -> HostGuard:
    """Return this process's guard."""
    return _guard


def _after_fork() -> None:
    # The child must neither end its parent's agents nor talk to its parent's reaper.
    global _guard  # noqa: PLW0603 - one per process is the point
    _guard.leave_to_parent()
    _guard = HostGuard()


at_exit(PROGRAMS, lambda: _guard.stop_all())  # noqa: PLW0108 - a fork puts another guard there
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
