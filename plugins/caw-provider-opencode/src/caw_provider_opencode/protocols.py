"""How opencode is talked to: over its server, or by one ``opencode run`` for each turn."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.deadlines import Deadline
from caw_core.errors import ProcessError, ProtocolError
from caw_core.own_options import chosen_word
from caw_core.programs import version_numbers
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.session import OpencodeSession, open_session

if TYPE_CHECKING:
    from caw_core.programs import ProgramVersions
    from caw_core.provider import StartRequest
    from caw_provider_opencode.run_session import RunSession
    from caw_provider_opencode.server import Launch, ServerPool

log = logging.getLogger("caw.opencode")

_PROTOCOLS: Final = ("auto", "live", "spawn")

_OLDEST_LIVE: Final = (1, 14)
"""1.14.34 does over its server all that caw asks. Of the versions before it that were tried, 1.3.2
lets nobody change the rules of a session that exists, 1.2.27 offers tools that the rules forbid,
1.1.11 knows no answers in a form, and 1.0.185 cannot be asked whether it is well."""

_TRIES: Final = 3
"""On a busy machine a program may be too slow to say its version, which decides on its flags."""


class Sessions:
    """Opens sessions over the protocol that the caller or the program's version asks for.

    Args:
        pool: the provider's servers.
        versions: what is known of the programs' versions.
    """

    def __init__(self, pool: ServerPool, versions: ProgramVersions) -> None:
        self._pool = pool
        self._versions = versions
        self._old: set[tuple[str, int]] = set()

    def open(
        self, launch: Launch, request: StartRequest, session_id: str | None = None
    ) -> OpencodeSession | RunSession:
        """Open a session, a new one or an existing one.

        With ``protocol="auto"`` the server is given up only where the program is older than
        1.14: its server says so, or none started and ``--version`` says so. Every other
        failure has another reason, which starting the program in another way would only hide.

        Raises:
            ConfigError: an option cannot be understood.
            ProviderError: as `caw_provider_opencode.session.open_session`, or
                `caw_provider_opencode.run_session.open_run_session`.
        """
        protocol = chosen_word(request.options, "protocol", _PROTOCOLS, provider=NAME)
        if protocol == "live":
            return open_session(self._pool, launch, request, session_id)
        if protocol == "spawn" or self._is_known_to_be_old(launch):
            return self._spawned(launch, request, session_id)
        server = self._pool.enter(launch)
        stop = request.deadlines.stop
        try:
            deadline = Deadline("start", request.deadlines.start, provider=NAME)
            try:
                version = server.live(deadline, stop).version
            except (ProcessError, ProtocolError) as error:
                version = self._versions.of(Path(launch.program))
                if not is_too_old(version):
                    raise
                log.warning("the server of opencode %s is not used: %s", version, error)
            if not is_too_old(version):
                return open_session(self._pool, launch, request, session_id)
        finally:
            self._pool.leave(launch, stop)
        self._old.add(_mark(launch))
        return self._spawned(launch, request, session_id)

    def _is_known_to_be_old(self, launch: Launch) -> bool:
        return bool(self._old) and _mark(launch) in self._old

    def _spawned(self, launch: Launch, request: StartRequest, session_id: str | None) -> RunSession:
        from caw_provider_opencode.run_session import open_run_session

        version: tuple[int, ...] = ()
        for _ in range(_TRIES):
            version = version or version_numbers(self._versions.of(Path(launch.program)))
        return open_run_session(launch, request, version, session_id)


def is_too_old(version: str) -> bool:
    """Tell whether a program's server cannot do all that caw asks of it."""
    numbers = version_numbers(version)
    return bool(numbers) and numbers < _OLDEST_LIVE


def _mark(launch: Launch) -> tuple[str, int]:
    return launch.program, Path(launch.program).stat().st_mtime_ns
