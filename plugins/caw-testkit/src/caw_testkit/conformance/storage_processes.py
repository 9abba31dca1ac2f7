"""Other processes that use the author's storage, started and ended by the checks."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Self, cast

from caw_testkit.conformance.base import broken

if TYPE_CHECKING:
    from caw_testkit.conformance.storage_suite import Store

_PATIENCE = 90.0
"""Seconds after which a process that says nothing is taken for one that hangs."""


class WriterProcess:
    """A process of `caw_testkit.conformance.storage_writer`; killed when the block ends.

    Args:
        store: the store that it opens.
        session_id: the session that it writes.
        plan: see that module.
        more: the plan's own argument, if it has one.
    """

    def __init__(self, store: Store, session_id: str, plan: str, *more: str) -> None:
        suite = type(store.suite)
        if "<locals>" in suite.__qualname__:
            broken(
                f"{suite.__qualname__} is made inside a function, where no process finds it.",
                "Define the class at the top of its module.",
            )
        module = "caw_testkit.conformance.storage_writer"
        command = [sys.executable, "-m", module, inspect.getfile(suite), suite.__qualname__]
        path = store.folder.with_name(f"{store.folder.name}-{session_id}.stderr")
        self._errors = path
        with path.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [*command, str(store.folder), session_id, plan, *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                text=True,
            )
        self._input = cast("IO[str]", self._process.stdin)
        self._output = cast("IO[str]", self._process.stdout)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def line(self, patience: float = _PATIENCE) -> str:
        """Return the next line that it says; fail if none comes within *patience* seconds."""
        watchdog = threading.Timer(patience, self._process.kill)
        watchdog.start()
        try:
            line = self._output.readline()
        finally:
            watchdog.cancel()
        if not line.endswith("\n"):
            self.kill()
            said = self._errors.read_text(encoding="utf-8", errors="replace")[-3000:]
            broken(
                f"A process that opened the storage ended or hung.\n{said}",
                "make_storage is called in a process of its own, on a new instance of the class: "
                "it may use its argument and the environment, no fixture. If that is so, the "
                "traceback above is the storage's.",
            )
        return line.removesuffix("\n")

    def step(self) -> None:
        """Have it write one turn, and wait until that has ended."""
        self.ask(1)
        self.wait_for(1)

    def ask(self, times: int) -> None:
        """Have it do the next thing so often, without waiting for it."""
        self._input.write("\n" * times)
        self._input.flush()

    def wait_for(self, turns: int) -> None:
        """Wait until so many turns have ended."""
        while turns:
            turns -= self.line().startswith("ended")

    def kill(self) -> list[str]:
        """Kill it (SIGKILL where there are signals); return what it had said besides."""
        self._process.kill()
        # A last line without its end was cut by the kill and acknowledges nothing.
        said = [line.removesuffix("\n") for line in self._output if line.endswith("\n")]
        self._process.wait()
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._output.close()
        self._input.close()
