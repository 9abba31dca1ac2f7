"""The shared servers: one process for all sessions that may share one."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError, ProcessError, ProtocolError
from caw_core.process import SharedPool
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.live import LiveServer
from caw_provider_opencode.tool_servers import Given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.deadlines import Deadline


@attrs.frozen(kw_only=True)
class Launch:
    """What decides whether two sessions may share a process.

    Attributes:
        program: the program's path.
        env: its whole environment, configuration included; it holds keys, so it is not part of
            ``repr``.
        servers: the tool servers of all its sessions; they hold secrets too.
    """

    program: str
    env: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    servers: Given = attrs.field(default=(), repr=False)

    @classmethod
    def of(cls, program: Path, env: Mapping[str, str], servers: Given = ()) -> Launch:
        """Make a value that can be compared and hashed."""
        return cls(program=str(program), env=tuple(sorted(env.items())), servers=servers)


class SharedServer:
    """One server for several sessions; started when first asked for, and after a crash."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._lock = threading.Lock()
        self._live: LiveServer | None = None

    def live(self, deadline: Deadline, stop_seconds: float) -> LiveServer:
        """Return the running server, after starting it if there is none.

        Raises:
            ProgramNotFoundError: there is no such program.
            ProcessError: it ended before it was ready.
            ProtocolError: it is no opencode.
            DeadlineError: it was not ready in time.
        """
        left = deadline.left
        if not self._lock.acquire(timeout=-1 if left is None else left):
            raise deadline.error("Another session was still starting opencode.")
        try:
            if self._live is None or not self._live.running:
                self._live = None
                self._live = self._start(deadline, stop_seconds)
            return self._live
        finally:
            self._lock.release()

    def stop(self, step_seconds: float) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._live is not None:
                self._live.stop(step_seconds)

    def _start(self, deadline: Deadline, stop_seconds: float) -> LiveServer:
        # Not a session's folder: it may go away, and opencode would read settings from it for all.
        root = Path(Path.cwd().anchor)
        live = LiveServer(
            self._launch.program,
            env=dict(self._launch.env),
            cwd=root,
            servers=self._launch.servers,
        )
        try:
            live.wait_ready(deadline.left)
        except BaseException as error:
            live.stop(stop_seconds)
            raise self._explain(error, deadline) from error
        return live

    @staticmethod
    def _explain(error: BaseException, deadline: Deadline) -> BaseException:
        if isinstance(error, ProcessError):
            return error.again(NAME)
        if isinstance(error, CawError):
            return error
        if isinstance(error, TimeoutError):
            return deadline.error("opencode was not ready.")
        if isinstance(error, OSError):
            return ProtocolError(f"opencode cannot be reached: {error}", provider=NAME)
        return error


class ServerPool(SharedPool[Launch, SharedServer]):
    """Keeps the servers of one provider."""

    def __init__(self) -> None:
        super().__init__(SharedServer)

    @contextlib.contextmanager
    def lent(self, launch: Launch, deadline: Deadline, stop_seconds: float) -> Iterator[LiveServer]:
        """Lend the server that *launch* describes; errors as in `SharedServer.live`."""
        server = self.enter(launch)
        try:
            yield server.live(deadline, stop_seconds)
        finally:
            self.leave(launch, stop_seconds)
