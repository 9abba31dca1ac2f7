"""The leases of the reference storage: they run out by the database's clock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.errors import SessionBusyError

if TYPE_CHECKING:
    import contextlib
    import sqlite3

LEASES = """
CREATE TABLE IF NOT EXISTS leases (session TEXT PRIMARY KEY, token INTEGER, pid INTEGER,
                                   ends REAL NOT NULL);
"""
FREE = 0
SECONDS = 30.0
NOW = "(julianday('now') * 86400)"


class Leases:
    held: dict[str, int]
    now = NOW

    if TYPE_CHECKING:

        def database(self) -> contextlib.AbstractContextManager[sqlite3.Connection]: ...
        def check_id(self, session_id: str) -> None: ...

    @hookimpl
    def lease_session(self, session_id: str) -> ReferenceLease:
        self.check_id(session_id)
        with self.database() as database:
            token, holder = self.lease_row(database, session_id)
            if holder != FREE:
                raise SessionBusyError(f"{session_id} is written by {holder}", holder=str(holder))
            ends = f"{self.now} + {SECONDS}"
            insert = f"INSERT OR REPLACE INTO leases VALUES (?, ?, ?, {ends})"  # noqa: S608 - what stands there is a constant of the class
            database.execute(insert, (session_id, token + 1, os.getpid()))
        self.held[session_id] = token + 1
        return ReferenceLease(self, session_id, token + 1)

    def check_lease(self, database: sqlite3.Connection, session_id: str) -> None:
        token, holder = self.lease_row(database, session_id)
        mine = self.held.get(session_id)
        if (holder != FREE and mine != token) or (mine is not None and mine != token):
            raise SessionBusyError(f"{session_id} is written by {holder}", holder=str(holder))

    def lease_row(self, database: sqlite3.Connection, session_id: str) -> tuple[int, int]:
        """Return the last token, and the holder or `FREE`."""
        select = f"SELECT token, pid, ends > {self.now} FROM leases WHERE session = ?"  # noqa: S608 - likewise
        token, pid, holds = database.execute(select, (session_id,)).fetchone() or (0, FREE, False)
        return token, pid if holds and pid != FREE and self.is_alive(pid) else FREE

    def is_alive(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def renew(self, session_id: str, token: int) -> None:
        with self.database() as database:
            renewed = database.execute(
                f"UPDATE leases SET ends = {self.now} + {SECONDS} "  # noqa: S608 - likewise
                "WHERE session = ? AND token = ? AND pid != 0",
                (session_id, token),
            )
            if not renewed.rowcount:
                raise SessionBusyError(f"{session_id} was taken by another one")

    def give_back(self, session_id: str, token: int) -> None:
        if self.held.get(session_id) == token:
            del self.held[session_id]
        with self.database() as database:
            free = "UPDATE leases SET pid = 0 WHERE session = ? AND token = ?"
            database.execute(free, (session_id, token))


class ReferenceLease:
    expires_after = SECONDS

    def __init__(self, storage: Leases, session_id: str, token: int) -> None:
        self.token = token
        self._storage = storage
        self._session_id = session_id

    def renew(self) -> None:
        self._storage.renew(self._session_id, self.token)

    def release(self) -> None:
        self._storage.give_back(self._session_id, self.token)
