"""A session's line to its agent: the provider's session, and getting it back when it was lost."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, cast

from caw_core.bounded import call_within
from caw_core.errors import NotResumableError, SessionStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.provider import (
        ModelChoosingSession,
        Prompt,
        ProviderSession,
        SteerableSession,
    )

log = logging.getLogger("caw.session")


STOPPED = "the agent had to be stopped; its conversation was resumed"
CRASHED = "the agent's program had ended; it was started again and the conversation was resumed"


class AgentLink:
    """Holds the provider's session, which may be lost under a turn and is resumed by the next.

    Args:
        session: the provider's session.
        resume_key: the key, where it is known already.
        reopen: resumes the conversation with the key.
        stop_seconds: bound on each step of closing.
    """

    def __init__(
        self,
        session: ProviderSession,
        resume_key: str | None,
        reopen: Callable[[str], ProviderSession],
        stop_seconds: float,
    ) -> None:
        self._session: ProviderSession | None = session
        self._resume_key = resume_key
        self._reopen = reopen
        self._stop_seconds = stop_seconds
        self._lock = threading.RLock()
        self._closed = False
        self._crashed = False
        self._why = STOPPED
        self.on_resume: Callable[[str], None] = lambda _: None

    @property
    def resume_key(self) -> str | None:
        """The agent's key, also after it was closed; None until it gave one."""
        with self._lock:
            if self._session is not None:
                self._resume_key = self._session.resume_key or self._resume_key
            return self._resume_key

    @property
    def current(self) -> ProviderSession | None:
        """The provider's session, as it is; None while it is lost."""
        with self._lock:
            return self._session

    def session(self) -> ProviderSession:
        """Return the provider's session; one that was lost is resumed, which is tried once.

        Raises:
            NotResumableError: it was given up before the agent gave its key.
            ProviderError: the agent could not resume it; the next call tries again.
            SessionStateError: it was closed for good.
        """
        if self._crashed and self.resume_key:
            self._close()
        with self._lock:
            if self._session is not None:
                return self._session
            if self._closed:
                msg = "the session has ended"
                raise SessionStateError(msg)
            key = self._resume_key
        if not key:
            msg = "the agent's session was lost before it had given its key; start a new session"
            raise NotResumableError(msg)
        session = self._reopen(key)
        with self._lock:
            if not self._closed:
                self._session = session
                self.on_resume(self._why)
                return session
        session.close()
        msg = "the session has ended"
        raise SessionStateError(msg)

    def interrupt(self) -> None:
        """Ask the agent to stop its turn."""
        with self._lock:
            session = self._session
        if session is not None:
            session.interrupt()

    def steer(self, prompt: Prompt) -> bool:
        """Deliver *prompt* into the running turn; False if that came too late."""
        with self._lock:
            session = self._session
        return session is not None and cast("SteerableSession", session).steer(prompt)

    def models(self) -> ModelChoosingSession:
        """Return the provider's session as one that knows its models."""
        return cast("ModelChoosingSession", self.session())

    def abandon(self) -> None:
        """Close the provider's session under its turn; the next turn resumes the conversation."""
        log.warning("the agent does not stop; closing its session")
        self._why = STOPPED
        self._close()

    def crashed(self, session: ProviderSession) -> None:
        """Take note that the program behind *session* is gone; the next turn resumes."""
        with self._lock:
            if self._session is session:
                self._crashed, self._why = True, CRASHED

    def close(self) -> None:
        """Close it for good."""
        with self._lock:
            self._closed = True
        self._close()

    def _close(self) -> None:
        with self._lock:
            self._resume_key = self.resume_key
            session, self._session = self._session, None
            self._crashed = False
        if session is None:
            return
        # The steps of the stop ladder and some room; a provider that hangs must not hang us.
        limit = 4 * self._stop_seconds + 1
        try:
            call_within(limit, "stop", session.close, lambda _: None)
        except Exception:
            log.exception("closing the agent's session failed")
