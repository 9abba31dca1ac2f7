"""The right to write a session: a row with a token, which ends by the server's clock."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING

from caw_core.errors import SessionBusyError, StorageError
from caw_storage_postgres.forks import tell_of_forks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_storage_postgres.database import Database


class PostgresLease:
    """A lease that is held; see `caw_core.storage.ExpiringLease`."""

    def __init__(self, leases: Leases, session_id: str, token: int, seconds: float) -> None:
        self._leases = leases
        self._token = token
        self.session_id = session_id
        self.expires_after = seconds
        # The head that was last written with it: nobody else can have written another one since.
        self.head = ""

    @property
    def token(self) -> int:
        """Greater than that of any lease before, of any session, for ever."""
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
    """The leases that this process holds.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.after_fork()
        tell_of_forks(self)

    def after_fork(self) -> None:
        """See `caw_storage_postgres.forks.ForkAware`: what the parent holds is the parent's."""
        self._mutex = threading.Lock()
        self._held: dict[str, PostgresLease] = {}
        # Requests whose answer never came; each may have got its lease all the same.
        self._unanswered: dict[str, str] = {}

    def take(self, session_id: str) -> PostgresLease:
        """Take the lease of a session; raise `SessionBusyError` if somebody has it."""
        lease = self._take(session_id)
        with self._mutex:
            self._held[session_id] = lease
        return lease

    @contextlib.contextmanager
    def lease_for(self, session_id: str) -> Iterator[PostgresLease]:
        """Give the lease to write with; one that is taken for this alone if none is held."""
        lease = self.held(session_id)
        if lease is not None:
            yield lease
            return
        passing = self._take(session_id)
        try:
            yield passing
        finally:
            self._give_back(passing)

    def held(self, session_id: str) -> PostgresLease | None:
        """Return the lease that this process has of a session, if it has it."""
        return self._held.get(session_id)

    def busy(self, session_id: str) -> SessionBusyError:
        """Return the error for a session whose lease is somebody else's."""
        row = self._database.row("look who writes", "holder", {"id": session_id})
        holder = str(row[0]) if row else ""
        who = holder or "another writer"
        msg = f"session {session_id!r} is being written by {who}. End it there, or wait for that."
        return SessionBusyError(msg, holder=holder)

    def renew(self, lease: PostgresLease) -> None:
        """See `PostgresLease.renew`."""
        values = {
            "id": lease.session_id,
            "token": lease.token,
            "seconds": lease.expires_after,
        }
        if self._database.row("renew a lease", "renew_lease", values) is None:
            raise self.busy(lease.session_id)

    def release(self, lease: PostgresLease) -> None:
        """See `PostgresLease.release`."""
        with self._mutex:
            if self._held.get(lease.session_id) is not lease:
                return
            del self._held[lease.session_id]
        self._give_back(lease)

    def _give_back(self, lease: PostgresLease) -> None:
        values = {"id": lease.session_id, "token": lease.token}
        with contextlib.suppress(StorageError):
            self._database.row("give a lease back", "release_lease", values)

    def _take(self, session_id: str) -> PostgresLease:
        seconds = self._database.settings.lease_seconds
        request = self._unanswered.pop(session_id, "") or uuid.uuid4().hex
        values = {
            "id": session_id,
            "tokens": self._database.statements.tokens,
            "holder": f"process {os.getpid()} on {socket.gethostname()}",
            # So that the one who asks again, because the answer was lost, gets it.
            "request": request,
            "seconds": seconds,
        }
        try:
            row = self._database.row("take a lease", "take_lease", values, make=True)
        except StorageError:
            self._unanswered[session_id] = request
            raise
        if row is None:
            raise self.busy(session_id)
        return PostgresLease(self, session_id, int(row[0]), seconds)
