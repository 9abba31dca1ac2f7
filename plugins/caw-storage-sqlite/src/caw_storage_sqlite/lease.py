"""The right to write a session: a row with a token, and who holds it.

A lease ends in one of three ways: its holder gives it back, the process that holds it is dead, or
it was not renewed in time. The second one is certain only where the holder's process can be looked
at, which is in the same boot of the same kernel and the same PID namespace (Linux tells all
three); there a lease is free at once. Otherwise its time must pass.

Times are those of the clock that SQLite reads, which all processes of a machine share, but which
may jump. A clock that jumps ahead ends leases early; one that is put back makes those last longer
whose holder cannot be looked at. Neither lets two write: a write is checked against the token, in
the same transaction, and tokens are counted for the whole database and never given twice.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import SessionBusyError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_sqlite.connections import Connection, Connections

log = logging.getLogger("caw.storage.sqlite")

LEASE_SECONDS = 60.0
"""How long a lease holds without being renewed."""

NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""The time in milliseconds since 1970, in SQL (https://www.sqlite.org/lang_datefunc.html)."""

HOLDER = "host, boot, space, pid, begun"
"""The columns that make a `Holder`."""

_INSERT = f"""
INSERT INTO leases (session_id, token, until, {HOLDER}) VALUES (?, ?, {NOW} + ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - constants

_SELECT = f"SELECT token, until > {NOW}, {HOLDER} FROM leases WHERE session_id = ?"  # noqa: S608 - constants

_RENEW = f"UPDATE leases SET until = {NOW} + ? WHERE session_id = ?"  # noqa: S608 - a constant


@attrs.frozen
class Holder:
    """A process.

    Attributes:
        host: the machine's name.
        boot: which boot of the kernel it runs in; ``""`` where the system does not tell.
        space: its PID namespace, likewise.
        pid: its id.
        begun: when it began, in clock ticks since the boot; -1 where the system does not tell.
    """

    host: str
    boot: str
    space: str
    pid: int
    begun: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @classmethod
    def this(cls) -> Holder:
        """Return this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), _space(), pid, _begun(pid))

    def is_dead(self) -> bool:
        """Tell whether it has certainly ended."""
        if not self.boot or not _boot():
            return False
        if self.boot != _boot():
            return self.host == socket.gethostname()
        return self.space == _space() and self.begun >= 0 and _begun(self.pid) != self.begun


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _begun(pid: int) -> int:
    """Return field 22 of ``/proc/PID/stat`` (proc(5)); -1 for a process that is no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return -1
    # The name is in parentheses and may hold any, so what counts stands after the last one.
    fields = stat.rpartition(b")")[2].split()
    return -1 if fields[0] in (b"Z", b"X") else int(fields[19])


class SqliteLease:
    """A lease that was taken; see `caw_core.storage.ExpiringLease`."""

    def __init__(
        self,
        connections: Connections,
        session_id: str,
        token: int,
        *,
        seconds: float,
        on_release: Callable[[SqliteLease], None],
    ) -> None:
        self._connections = connections
        self._session_id = session_id
        self._token = token
        self._seconds = seconds
        self._on_release: Callable[[SqliteLease], None] | None = on_release
        self._pid = os.getpid()

    @property
    def session_id(self) -> str:
        """Whose it is."""
        return self._session_id

    @property
    def token(self) -> int:
        """Higher than that of every earlier lease in this database."""
        return self._token

    @property
    def expires_after(self) -> float:
        """How long it holds without being renewed, in seconds."""
        return self._seconds

    def renew(self) -> None:
        """Hold it for another `expires_after`.

        Raises:
            SessionBusyError: somebody else took it meanwhile, or it was released.
            StorageError: the database cannot be written.
        """
        with self._connections.writing("renew a lease in", durable=False) as connection:
            check(connection, self._session_id, self._token)
            connection.execute(_RENEW, (_millis(self._seconds), self._session_id))

    def release(self) -> None:
        """Give it back; idempotent. One that cannot be given back runs out."""
        on_release, self._on_release = self._on_release, None
        if on_release is None or os.getpid() != self._pid:
            return
        on_release(self)
        try:
            with self._connections.writing("release a lease in", durable=False) as connection:
                connection.execute(
                    "DELETE FROM leases WHERE session_id = ? AND token = ?",
                    (self._session_id, self._token),
                )
            # What stands in the log alone is less safe: of a damaged one SQLite keeps a part.
            self._connections.checkpoint()
        except StorageError as error:
            log.warning("the lease of session %s holds a while longer: %s", self._session_id, error)


def take(connection: Connection, session_id: str, seconds: float) -> int:
    """Take the lease of a session and return its token; inside a transaction that writes.

    Raises:
        SessionBusyError: somebody holds it.
    """
    displace(connection, session_id)
    (token,) = connection.execute("UPDATE store SET token = token + 1 RETURNING token").fetchone()
    row = (session_id, token, _millis(seconds), *attrs.astuple(Holder.this()))
    connection.execute(_INSERT, row)
    return int(token)


def check(connection: Connection, session_id: str, token: int) -> None:
    """Raise `SessionBusyError` unless the session's lease is still the one with *token*."""
    row = connection.execute(_SELECT, (session_id,)).fetchone()
    if row is not None and row[0] == token:
        return
    holder = str(Holder(*row[2:])) if row is not None else ""
    msg = (
        f"the lease of session {session_id!r} was released here, or taken by "
        f"{holder or 'another writer'} as it was not renewed in time. "
        "End the session here and resume it."
    )
    raise SessionBusyError(msg, holder=holder)


def displace(connection: Connection, session_id: str) -> None:
    """Make sure that nobody holds the session's lease; whoever did hold it writes no more.

    Raises:
        SessionBusyError: somebody holds it.
    """
    row = connection.execute(_SELECT, (session_id,)).fetchone()
    if row is None:
        return
    in_time, holding = row[1], Holder(*row[2:])
    if in_time and not holding.is_dead():
        holder = str(holding)
        msg = (
            f"session {session_id!r} is being written by {holder}. "
            "End it there, or wait until it has ended."
        )
        raise SessionBusyError(msg, holder=holder)
    connection.execute("DELETE FROM leases WHERE session_id = ?", (session_id,))


def _millis(seconds: float) -> int:
    return int(seconds * 1000)
