"""For providers whose program does one turn and ends: what their sessions have in common."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import (
    ProcessError,
    SessionBusyError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import TurnEnded
from caw_core.inbox import Inbox
from caw_core.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from caw_core.provider import Prompt, StartRequest


class SpawnedTurns:
    """Base of a `caw_core.provider.ProviderSession` that starts a program for each turn.

    What is left to a subclass is ``resume_key`` and ``prompt``, which does its work inside of
    `turn`: it starts the program with `spawn`, reads its lines until the process itself comes, and
    asks `stopped` before it takes the end for a failure.

    Attributes:
        request: what was asked for, with the model that `set_model` chose last.

    Args:
        provider: the provider's name, for errors.
        request: what was asked for.
    """

    def __init__(self, provider: str, request: StartRequest) -> None:
        self.request = request
        self._provider = provider
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._running = False
        self._interrupted = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the running turn's program."""
        return self._process.pid if self._process else None

    def interrupt(self) -> None:
        """End the running turn, by ending its program; nothing happens when none runs."""
        with self._lock:
            self._interrupted = self._running
            process = self._process
        if process is not None:
            process.kill()

    def steer(self, prompt: Prompt) -> bool:
        """Return False: such a program takes its prompt and nothing more."""
        del prompt
        return False

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model or effort from the next turn on; None keeps what is."""
        self.request = attrs.evolve(
            self.request,
            model=model or self.request.model,
            reasoning=reasoning or self.request.reasoning,
        )

    def close(self) -> None:
        """End what runs; idempotent."""
        with self._lock:
            self._closed = True
            process = self._process
        self._end_program(process)

    # ------------------------------------------------------------------------- for the subclass

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the session for one turn, and end the turn's program when it is left.

        Raises:
            SessionBusyError: another turn still runs.
            SessionStateError: the session is closed.
        """
        with self._lock:
            if self._closed:
                msg = f"the {self._provider} session is closed"
                raise SessionStateError(msg)
            if self._running:
                msg = f"a turn of this {self._provider} session still runs"
                raise SessionBusyError(msg, holder="this process")
            self._running = True
            self._interrupted = False
        try:
            yield
        finally:
            with self._lock:
                process, self._process = self._process, None
                self._running = False
            # The caller left, or it would go on without an end; else it has ended already.
            self._end_program(process)

    def spawn(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], said: bytes, name: str
    ) -> tuple[Process, Inbox[bytes | Process]]:
        """Start the turn's program and give it *said* on its stdin, which then ends.

        Args:
            argv: the program and its arguments; secrets have no place there.
            cwd: the folder to start it in.
            env: its whole environment.
            said: what it reads.
            name: what errors call it.

        Returns:
            The process, and where its lines come; behind the last one comes the process itself.

        Raises:
            ProgramNotFoundError: there is no such program.
            ProcessError: it could not be started.
        """
        lines: Inbox[bytes | Process] = Inbox()
        process = Process(argv, cwd=cwd, env=env, on_line=lines.put, on_exit=lines.put, name=name)
        with self._lock:
            self._process = process
            unwanted = self._interrupted or self._closed
        if unwanted:
            process.kill()
        # One that has ended already tells how by its output.
        with contextlib.suppress(ProcessError):
            process.write(said)
            process.end_input()
        return process, lines

    def stopped(self) -> TurnEnded | None:
        """Return the end of a turn that was interrupted; None where the program ended by itself.

        Raises:
            TurnInterruptedError: the session was closed under the turn.
        """
        if self._closed:
            msg = "the session was closed while its turn ran"
            raise TurnInterruptedError(msg, provider=self._provider)
        return TurnEnded(stop_reason="cancelled") if self._interrupted else None

    def _end_program(self, process: Process | None) -> None:
        if process is not None:
            process.kill()
            process.wait(self.request.deadlines.stop)
