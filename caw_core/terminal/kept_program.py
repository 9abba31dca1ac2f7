"""The host's side of a hand-over: has a keeper run a program, and leaves nothing of it behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.process.group import KILL, MARKER, kill_marked, new_marker, signal_group
from caw_core.process.guard import host_guard
from caw_core.terminal.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEPS = 2
"""How often the keeper may take its grace: to ask the program to end, then to make it."""


class KeptProgram:
    """A program in the user's terminal, run by `caw_core.terminal.keeper`.

    Args:
        told: what the keeper is told, but for the environment and *stdin*.
        env: the program's whole environment.
        stdin: a descriptor for the program's stdin; None for the terminal.
        grace: seconds that the program gets to end.

    Raises:
        ProcessError: the keeper could not be started, or was killed.
    """

    def __init__(
        self, told: Mapping[str, Any], env: Mapping[str, str], stdin: int | None, *, grace: float
    ) -> None:
        self._patience = _STEPS * grace + 1
        self._guard = host_guard()
        self._marker = f"{self._guard.marker}.{new_marker()}"
        self._beside: Beside | None = None
        self._program = 0
        self._answer: dict[str, Any] | None = None
        # A caw inside an agent of ours adds its own marker, so that ours still finds all.
        own = {MARKER: ":".join(filter(None, (env.get(MARKER), self._marker)))}

        def launch() -> tuple[int, KeptProgram]:
            fds = [] if stdin is None else [stdin]
            started = {**told, "env": {**env, **own}, "stdin": stdin, "grace": grace}
            self._beside = Beside("caw_core.terminal.keeper", started, fds)
            self._hear(self._beside)
            return self._program, self

        try:
            self._guard.start(launch)
        except BaseException:
            self.close()
            raise

    def wait(self) -> dict[str, Any]:
        """Wait until the program has ended.

        Returns:
            ``exit_code`` and ``output`` (bytes), or ``errno`` and ``error`` if it did not start.

        Raises:
            ProcessError: the keeper was killed.
        """
        while self._answer is None and self._beside is not None:
            self._hear(self._beside)
        return self._answer or {}

    def end(self) -> None:
        """Ask the program to end; `wait` then returns soon. From any thread; idempotent."""
        if self._beside is not None:
            self._beside.end()

    def kill(self) -> None:
        """End it now, since the host is exiting; see `caw_core.process.guard.HostGuard`."""
        self.close()

    def close(self) -> None:
        """Have the program ended, if it runs, with all that it left; idempotent."""
        if self._beside is not None:
            self._beside.close(self._patience)
        if self._program and self._answer is None:
            # Without its keeper; otherwise the number may be somebody else's by now.
            signal_group(self._program, KILL)
        kill_marked(self._marker)
        self._guard.forget(self._program)

    def _hear(self, beside: Beside) -> None:
        message = beside.hear()
        if "pid" in message:
            self._program = message["pid"]
        elif "undo" in message:
            beside.undo = message["undo"].encode("latin-1")
        elif "errno" in message:
            self._answer = message
        else:
            self._answer = {**message, "output": beside.read(message["length"])}
