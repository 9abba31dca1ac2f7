"""The right to write a session: a hash with a token, which ends by the server's clock."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from typing import TYPE_CHECKING

from caw_core.errors import SessionBusyError, StorageError

if TYPE_CHECKING:
    from caw_storage_redis.server import Answer, Server

_MICROSECONDS = 1_000_000


class RedisLease:
    """A lease that is held; see `caw_core.storage.ExpiringLease`."""

    def __init__(self, leases: Leases, session_id: str, token: int, seconds: float) -> None:
        self._leases = leases
        self._token = token
        self.session_id = session_id
        self.expires_after = seconds

    @property
    def token(self) -> int:
        """Greater than that of any lease before, of any session of the store."""
        return self._token

    def renew(self) -> None:
        """Hold it for another `expires_after`.

        Raises:
            SessionBusyError: somebody else has it, or had it.
            StorageError: the server did not answer.
        """
        self._leases.renew(self)

    def release(self) -> None:
        """Give the right back; idempotent, from any thread.

        A server that is down does not hear of it; there the lease runs out.
        """
        self._leases.release(self)


class Leases:
    """The leases that this process holds; those of the process it was forked from are not its.

    Args:
        server: where they are.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held: dict[tuple[int, str], RedisLease] = {}
        # Requests whose answer never came; each may have got its lease all the same.
        self._unanswered: dict[tuple[int, str], str] = {}

    def take(self, session_id: str) -> RedisLease:
        """Take the lease of a session; raise `SessionBusyError` if somebody has it."""
        key = _key(session_id)
        seconds = self._server.settings.lease_seconds
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        request = self._unanswered.pop(key, "") or uuid.uuid4().hex
        length = int(seconds * _MICROSECONDS)
        try:
            answer = self._server.write("take a lease", "take", session_id, holder, request, length)
        except StorageError:
            self._unanswered[key] = request
            raise
        self.must_be_ours(session_id, answer)
        lease = self._held[key] = RedisLease(self, session_id, int(answer[1]), seconds)
        return lease

    def token(self, session_id: str) -> str:
        """Return the token to write a session with; ``""`` if this process has no lease of it."""
        lease = self._held.get(_key(session_id))
        return "" if lease is None else str(lease.token)

    def must_be_ours(self, session_id: str, answer: Answer) -> None:
        """Raise `SessionBusyError` if a script was refused because of somebody else's lease."""
        if answer[0] != b"busy":
            return
        holder = answer[1].decode("utf-8", "replace")
        who = holder or "another writer"
        msg = f"session {session_id!r} is being written by {who}. End it there, or wait for that."
        raise SessionBusyError(msg, holder=holder)

    def renew(self, lease: RedisLease) -> None:
        """See `RedisLease.renew`."""
        length = int(lease.expires_after * _MICROSECONDS)
        answer = self._server.write("renew a lease", "renew", lease.session_id, lease.token, length)
        self.must_be_ours(lease.session_id, answer)

    def release(self, lease: RedisLease) -> None:
        """See `RedisLease.release`."""
        key = _key(lease.session_id)
        if self._held.get(key) is lease:
            del self._held[key]
            with contextlib.suppress(StorageError):
                self._server.write("give a lease back", "renew", lease.session_id, lease.token, "")


def _key(session_id: str) -> tuple[int, str]:
    return os.getpid(), session_id
