"""A program and its descendants on Windows: a job object that dies with its owner."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from caw_core.process.windows_job import Job, resume

CREATE_SUSPENDED: Final = 0x4
"""A process creation flag of Windows that `subprocess` passes on but does not name."""

KILLED: Final = 1
"""The exit status of what is killed, the same as `subprocess.Popen.kill` gives."""

_BREAK_SECONDS = 5.0
_GONE_SECONDS = 1.0


class WindowsTree:
    """See `caw_core.process.tree.Tree`.

    The program is started suspended and runs only once it is in its job, so nothing that it starts
    can be outside. It has a console of its own without a window, as it has no terminal elsewhere.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None

    def popen_options(self) -> dict[str, Any]:
        """Start suspended, in a console and a group of its own."""
        if sys.platform != "win32":
            return {}
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags | CREATE_SUSPENDED}

    def adopt(self, popen: subprocess.Popen[bytes]) -> None:
        """Put it into the job, then let it run."""
        self._popen = popen
        try:
            self._job = Job()
            self._job.add(popen.pid)
            resume(popen.pid)
        except OSError:
            popen.kill()
            popen.wait()
            self.end_rest()
            raise

    def ask_to_end(self) -> None:
        """Send Ctrl-Break to the group.

        Only who shares a console with the group can, and ours is not to be given up for that. So a
        small program goes to it; see `caw_core.process.windows_break`.
        """
        script = Path(__file__).with_name("windows_break.py")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603 - our own interpreter and script
                [sys.executable, "-I", "-S", str(script), str(self._popen.pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=_BREAK_SECONDS,
                **_without_window(),
            )

    def kill(self) -> None:
        """End all that is in the job."""
        with self._lock, contextlib.suppress(OSError):
            if self._job is not None:
                self._job.terminate(KILLED)

    def wait(self) -> int:
        """Wait for the program."""
        return self._popen.wait()

    def end_rest(self) -> None:
        """End what is in the job, and give it back."""
        with self._lock:
            job, self._job = self._job, None
        if job is None:
            return
        deadline = time.monotonic() + _GONE_SECONDS
        with contextlib.suppress(OSError):
            job.terminate(KILLED)
            while job.count() and time.monotonic() < deadline:
                time.sleep(0.002)
        job.close()


def _without_window() -> dict[str, Any]:
    if sys.platform != "win32":
        return {}
    return {"creationflags": subprocess.CREATE_NO_WINDOW}
