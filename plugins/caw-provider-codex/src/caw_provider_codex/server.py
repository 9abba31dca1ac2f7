"""The shared app-servers: one process for all sessions that may share one."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import CawError, ProcessError, ProtocolError, SessionStateError
from caw_core.json_fields import text
from caw_core.process import Process, SharedPool
from caw_provider_codex.errors import NAME
from caw_provider_codex.rpc import Peer, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from caw_core.deadlines import Deadline
    from caw_provider_codex.rpc import Channel

OLDEST: Final = (0, 151, 0)
"""The oldest codex whose app-server is used; OpenAI's own SDK asks for it as well."""

_VERSION: Final = re.compile(r"/(\d+)\.(\d+)\.(\d+)")
_GIVE_UP_SECONDS: Final = 0.2
CLIENT: Final = {"name": "caw", "title": "caw", "version": "0.1"}


@attrs.frozen(kw_only=True)
class Launch:
    """What decides whether two sessions may share a process.

    Attributes:
        program: the program's path.
        env: its whole environment; it holds keys, so it is not part of ``repr``.
    """

    program: str
    env: tuple[tuple[str, str], ...] = attrs.field(repr=False)

    @classmethod
    def of(cls, program: Path, env: Mapping[str, str]) -> Launch:
        """Make a value that can be compared and hashed."""
        return cls(program=str(program), env=tuple(sorted(env.items())))


class _TooOldError(Exception):
    """The program's version is older than `OLDEST`."""


class AppServer:
    """One app-server for several sessions; started when first asked for, and after a crash.

    Args:
        launch: the program and its environment.
        start: starts it; see `caw_provider_codex.rpc.Peer`.

    Attributes:
        unusable: why the program has no app-server that could be used, found out by the last
            start; ``""`` if it has one.
    """

    def __init__(self, launch: Launch, start: Callable[..., Channel] = Process) -> None:
        self.unusable = ""
        self._start_program = start
        self._launch = launch
        self._lock = threading.Lock()
        self._peer: Peer | None = None
        self._stopped = False

    def peer(self, deadline: Deadline, stop_seconds: float) -> Peer:
        """Return the running server, after starting it if there is none.

        Raises:
            ProgramNotFoundError: there is no such program.
            ProcessError: it ended before it was ready.
            ProtocolError: it refused the handshake.
            DeadlineError: it was not ready in time.
        """
        left = deadline.left
        if not self._lock.acquire(timeout=-1 if left is None else left):
            raise deadline.error("Another session was still starting codex.")
        try:
            if self._peer is None or not self._peer.running:
                self._start(deadline, stop_seconds)
            return self._running()
        finally:
            self._lock.release()

    def stop(self, step_seconds: float) -> None:
        """End the process, if there is one, also while it still starts; it starts never again."""
        # Without the lock: whoever starts the process holds it, and sees the process end.
        self._stopped = True
        if self._peer is not None:
            self._peer.stop(step_seconds)

    def _running(self) -> Peer:
        if self._peer is None or self._stopped:
            msg = "the codex session was closed while codex started"
            raise SessionStateError(msg)
        return self._peer

    def _start(self, deadline: Deadline, stop_seconds: float) -> None:
        # Not a session's folder: it may go away, and codex would read settings from it for all.
        root = Path(Path.cwd().anchor)
        peer = Peer(
            [self._launch.program, "app-server"],
            cwd=root,
            env=dict(self._launch.env),
            start=self._start_program,
        )
        self._peer = peer
        try:
            self._running()
            params = {"clientInfo": CLIENT, "capabilities": {"experimentalApi": True}}
            answer = peer.call("initialize", params, timeout=deadline.left)
            _check_version(text(answer, "userAgent"))
            peer.notify("initialized")
        except BaseException as error:
            self._peer = None
            # It has done nothing yet that it would have to finish.
            peer.stop(min(stop_seconds, _GIVE_UP_SECONDS))
            failure = self._explain(error, deadline)
            if not isinstance(failure, SessionStateError):
                self.unusable = str(failure)
            raise failure from error
        self.unusable = ""

    @staticmethod
    def _explain(error: BaseException, deadline: Deadline) -> BaseException:
        if isinstance(error, RpcError):
            return ProtocolError(f"codex refused the handshake: {error.message}", provider=NAME)
        if isinstance(error, _TooOldError):
            return ProtocolError(str(error), provider=NAME)
        if isinstance(error, ProcessError):
            return error.again(NAME)
        if isinstance(error, TimeoutError) and not isinstance(error, CawError):
            return deadline.error("codex did not answer the handshake.")
        return error


def _check_version(user_agent: str) -> None:
    """Refuse a program that says of itself that it is older than `OLDEST`."""
    said = _VERSION.search(user_agent)
    if said and tuple(map(int, said.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        msg = f"codex {said[0].lstrip('/')} is older than {oldest}, so its app-server is not used"
        raise _TooOldError(msg)


class ServerPool(SharedPool[Launch, AppServer]):
    """Keeps the app-servers of one provider; the end of one frees codex's thread locks."""

    def __init__(self) -> None:
        super().__init__(AppServer)

    @contextlib.contextmanager
    def lent(self, launch: Launch, deadline: Deadline, step_seconds: float) -> Iterator[Peer]:
        """Yield a running server, which ends afterwards if nobody else uses it.

        Raises:
            As `AppServer.peer` does.
        """
        server = self.enter(launch)
        try:
            yield server.peer(deadline, step_seconds)
        finally:
            self.leave(launch, step_seconds)
