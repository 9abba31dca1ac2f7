"""The threads in which models are fetched, loaded and run.

A thread that is inside the model's native code while the interpreter goes away takes the process
down: "FATAL: exception not rethrown" or a segmentation fault (seen with xllamacpp 2026.10.11549
on Python 3.11). Threads that are not daemons would be no way out, because the interpreter waits
for those before anybody could tell them to stop.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from caw_core.at_exit import PROGRAMS, at_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_provider_local.cancellation import Cancellation

EXIT_SECONDS = 10.0
"""How long the end of the process waits for all of them together; they stop in well under one."""


class Workers:
    """The running threads, each with the means to stop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, Cancellation] = {}
        self._registered = False

    def start(self, work: Callable[[], None], cancellation: Cancellation) -> threading.Thread:
        """Run *work* in a thread; *cancellation* is used when the process ends before it does."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    del self._running[thread]

        thread = threading.Thread(target=run, name="caw-local", daemon=True)
        with self._lock:
            if not self._registered:
                self._registered = True
                at_exit(PROGRAMS, self.stop_all)
            self._running[thread] = cancellation
        thread.start()
        return thread

    def stop_all(self, seconds: float = EXIT_SECONDS) -> None:
        """Stop all threads and wait for them, at most *seconds*."""
        deadline = time.monotonic() + seconds
        with self._lock:
            running = list(self._running.items())
        for _, cancellation in running:
            cancellation.cancel()
        for thread, _ in running:
            thread.join(max(0.0, deadline - time.monotonic()))


WORKERS = Workers()
"""One for the process, since there is one end of the process."""
