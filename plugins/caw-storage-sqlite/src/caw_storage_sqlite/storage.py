"""The plugin: caw's storage hooks, answered with one SQLite file."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.handles import check_session_id
from caw_core.storage import SearchPage, SessionPage
from caw_storage_sqlite import lease, listing, live, reading, search, writing
from caw_storage_sqlite.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.storage import LiveEvent, SearchQuery, SessionQuery, TurnRange
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_storage_sqlite.connections import Connection
    from caw_storage_sqlite.url import Location

_POLL_SECONDS = 0.05


class SqliteStorage:
    """Keeps all sessions in one SQLite database.

    Safe to use from several threads and processes. Nothing is made on the disk before something is
    written. Every method that takes a session or an id raises
    `caw_core.errors.ResumeHandleError` for what is no id, `caw_core.errors.StorageError` where
    SQLite or the disk refuses, and those that write `caw_core.errors.SessionBusyError` where
    somebody else writes the session.

    Args:
        location: the file, and how it is used.
        lease_seconds: how long a lease holds without being renewed.
    """

    caw_api = "1.0"

    def __init__(self, location: Location, *, lease_seconds: float = lease.LEASE_SECONDS) -> None:
        self._location = location
        self._lease_seconds = lease_seconds
        self._connections = Connections(location.path, location.synchronous)
        self._leases: dict[str, lease.SqliteLease] = {}
        self._mutex = threading.Lock()
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._location.path)!r})"

    def close(self) -> None:
        """Close what is open; using the storage again opens it anew. A dropped one is closed."""
        self._connections.close()

    # ----------------------------------------------------------------------------------- records

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Put the turn in the place of what was there; on the disk when this returns, if it ended.

        What a running turn has is safe from the death of the process, not from a power cut.
        """
        session_id = check_session_id(session.session_id)
        draft = writing.Draft.of(session, turn)
        durable = turn.status != "running"
        with self._connections.writing("write", durable=durable) as connection:
            self._admit(connection, session_id)
            writing.write(connection, draft)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Put the head in the place of the last one."""
        session_id = check_session_id(session.session_id)
        draft = writing.Draft.of(session)
        with self._connections.writing("write") as connection:
            self._admit(connection, session_id)
            writing.write(connection, draft)
            if session.completed_at:
                live.end(connection, session_id)

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        """Read a record, or a range of its turns.

        Raises:
            TrajectoryError: the record is there and damaged, or of a newer version.
        """
        check_session_id(session_id)
        with self._connections.reading("read") as connection:
            if connection is None:
                return None
            found = reading.find(connection, self._location.path, session_id, turns)
        return found.record() if found else None

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        """Delete a record and give the space back to the file system."""
        check_session_id(session_id)
        with self._connections.reading("read") as connection:
            if connection is None:
                return False
        with self._connections.writing("delete in") as connection:
            self._admit(connection, session_id)
            found = writing.delete(connection, session_id)
        if found:
            self._connections.shrink()
        return found

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Let the new record point to the other's documents, which stay for as long as one does."""
        check_session_id(parent_id)
        session_id = check_session_id(session.session_id)
        draft = writing.Draft.of(session)
        with self._connections.writing("write") as connection:
            self._admit(connection, session_id)
            return writing.share(connection, draft, parent_id, min(stop, reading.LARGEST))

    # ------------------------------------------------------------------------------------- lists

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """List sessions by the time of their last write.

        Raises:
            ConfigError: the cursor cannot be understood.
        """
        with self._connections.reading("list") as connection:
            if connection is None:
                listing.before(query.cursor)
                return SessionPage()
            return listing.list_page(connection, self._location.path, query)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        """Find words, the turns that were last written first; see `caw_storage_sqlite.search`.

        Raises:
            ConfigError: the cursor cannot be understood.
        """
        indexed = self._location.search == "index" and search.fill(self._connections)
        with self._connections.reading("search") as connection:
            if connection is None:
                listing.before(query.cursor)
                return SearchPage()
            return search.search_page(connection, self._location.path, query, indexed=indexed)

    # -------------------------------------------------------------------------------- one writer

    @hookimpl
    def lease_session(self, session_id: str) -> lease.SqliteLease:
        """Take the right to write a session."""
        check_session_id(session_id)
        with self._connections.writing("take a lease in") as connection:
            live.sweep(connection)
            token = lease.take(connection, session_id, self._lease_seconds)
        taken = lease.SqliteLease(
            self._connections,
            session_id,
            token,
            seconds=self._lease_seconds,
            on_release=self._forget,
        )
        self._begin_anew_in_a_fork()
        with self._mutex:
            self._leases[session_id] = taken
        return taken

    def _forget(self, released: lease.SqliteLease) -> None:
        with self._mutex:
            if self._leases.get(released.session_id) is released:
                del self._leases[released.session_id]

    def _admit(self, connection: Connection, session_id: str) -> None:
        self._begin_anew_in_a_fork()
        with self._mutex:
            held = self._leases.get(session_id)
        if held is None:
            lease.displace(connection, session_id)
        else:
            lease.check(connection, session_id, held.token)

    def _begin_anew_in_a_fork(self) -> None:
        if self._pid != os.getpid():
            # The leases of the process that this one was forked from are that one's, and so is
            # the thread that may have held the mutex.
            self._pid, self._leases, self._mutex = os.getpid(), {}, threading.Lock()

    # ------------------------------------------------------------------------------- live events

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Keep the last events of a running session for other processes."""
        check_session_id(session_id)
        if not events:
            return
        with self._connections.writing("publish in", durable=False) as connection:
            self._admit(connection, session_id)
            live.publish(connection, session_id, events)

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        """Return events that follow *after*, waiting for the first one.

        Raises:
            ConfigError: *after* is no cursor of an event.
        """
        check_session_id(session_id)
        deadline = time.monotonic() + wait_seconds
        while True:
            with self._connections.reading("read") as connection:
                found = live.read(connection, session_id, after, limit) if connection else []
            rest = deadline - time.monotonic()
            if found or rest <= 0:
                return found
            # SQLite tells nobody of a change, so it is asked again.
            time.sleep(min(rest, _POLL_SECONDS))
