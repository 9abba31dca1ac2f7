"""Which of codex's two protocols a conversation is held over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from caw_core.deadlines import Deadline
from caw_core.errors import CawError, DeadlineError
from caw_core.own_options import chosen_word
from caw_provider_codex.errors import NAME
from caw_provider_codex.exec_session import ExecSession
from caw_provider_codex.session import CodexSession, open_session

if TYPE_CHECKING:
    from caw_core.provider import StartRequest
    from caw_provider_codex.server import Launch, ServerPool

log = logging.getLogger("caw.codex")

PROTOCOLS: Final = ("auto", "live", "spawn")

_SILENT_SECONDS: Final = 30.0
_LEAST_SECONDS: Final = 5.0
_ASKED: Final = "the option protocol asks for codex exec"


def open_best(
    pool: ServerPool, launch: Launch, request: StartRequest, thread_id: str | None = None
) -> CodexSession | ExecSession:
    """Open a session over the app-server, or over ``codex exec`` where there is none to use.

    With ``protocol="auto"`` the app-server is given up only where it failed by itself: it ended
    before it answered, refused the handshake, was silent for half of the ``start`` deadline (and
    for 5 seconds at least), or is older than what caw knows. An error about the conversation is
    raised as it is.

    Raises:
        ConfigError: there is no such protocol.
        ProviderError: as `caw_provider_codex.session.open_session`.
    """
    protocol = chosen_word(request.options, "protocol", PROTOCOLS, provider=NAME)
    if protocol == "spawn":
        return ExecSession(launch, request, _ASKED, thread_id)
    if protocol == "live":
        return open_session(pool, launch, request, thread_id)
    whole = request.deadlines.start
    half = _SILENT_SECONDS if whole is None else whole / 2
    # A program that was given less may be slow, and no proof of anything.
    patient = half >= _LEAST_SECONDS
    patience = Deadline("start", half if patient else whole, provider=NAME)
    server = pool.enter(launch)
    try:
        try:
            server.peer(patience, request.deadlines.stop)
        except CawError as error:
            if not server.unusable or (isinstance(error, DeadlineError) and not patient):
                raise
            log.warning("codex's app-server is not used: %s", server.unusable)
            return ExecSession(launch, request, server.unusable, thread_id)
        return open_session(pool, launch, request, thread_id)
    finally:
        pool.leave(launch, request.deadlines.stop)
