"""Writing heads and turns, each in one statement that checks the lease."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from caw_core.listing import title_of
from caw_core.migrations import DOCUMENT_VERSION
from caw_core.searching import text_of
from caw_core.serialize import session_info_to_dict, turn_to_dict
from caw_storage_postgres.forks import tell_of_forks
from caw_storage_postgres.texts import document_text, escaped, facts_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.trajectory import SessionInfo, Turn
    from caw_storage_postgres.connections import Connection
    from caw_storage_postgres.database import Database
    from caw_storage_postgres.leases import Leases, PostgresLease


_LOCKS = 64
"""How many sessions are written at once at most, those with the same hash one after the other."""


class _NotSharedError(Exception):
    """Undoes what was done to share turns."""


class Writer:
    """Writes sessions; one write of a session at a time, of different ones at once.

    Args:
        database: where to.
        leases: the rights to do so.
    """

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database = database
        self._leases = leases
        self.after_fork()
        tell_of_forks(self)

    def after_fork(self) -> None:
        """See `caw_storage_postgres.forks.ForkAware`."""
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def write_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Store a turn, and the head if it changed."""
        words, all_words = words_of(text_of(turn))
        values = {
            "index": turn.index,
            "status": turn.status,
            "version": DOCUMENT_VERSION,
            "words": words,
            "all_words": all_words,
            "title": escaped(title_of(turn.input)),
            "document": document_text(turn_to_dict(turn)),
        }
        self._write(f"store turn {turn.index}", "put_turn", session, values)

    def write_head(self, session: SessionInfo) -> None:
        """Store the head."""
        self._write("store a session's head", "put_session", session, {})

    def share(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Let a session begin with the turns of another below *stop*; tell whether it does."""
        self.write_head(session)
        statements = self._database.statements

        def work(connection: Connection, values: dict[str, Any]) -> bool:
            values |= {"parent": parent_id, "stop": stop}
            if connection.execute(statements["lend"], values).fetchone() is None:
                return False
            connection.execute(statements["own_segments"], values)
            row = connection.execute(statements["share"], values).fetchone()
            if row is None or row[0]:
                raise _NotSharedError
            connection.execute(statements["lend_segments"], values)
            return True

        try:
            with self._writing(session.session_id) as lease:
                return self._transact("share turns", lease, work)
        except _NotSharedError:
            return False

    def delete(self, session_id: str) -> bool:
        """Delete a session; tell whether there was one."""
        statements = self._database.statements
        values = {"id": session_id}
        if not self._database.rows("find a session", statements["exists"], values):
            return False

        def work(connection: Connection, values: dict[str, Any]) -> bool:
            histories = [
                row[0]
                for name in ("delete_session", "delete_segments")
                for row in connection.execute(statements[name], values).fetchall()
            ]
            connection.execute(statements["delete_turns"], {"histories": histories})
            connection.execute(statements["delete_head"], values)
            connection.execute(statements["delete_events"], values)
            return True

        with self._writing(session_id) as lease:
            lease.head = ""
            return self._transact("delete a session", lease, work)

    def _write(
        self, what: str, statement: str, session: SessionInfo, values: dict[str, Any]
    ) -> None:
        session_id = session.session_id
        # As text: to Python, True is 1 and 1.0 as well.
        head = document_text(session_info_to_dict(session))
        with self._writing(session_id) as lease:
            values |= {"id": session_id, "token": lease.token}
            is_next = statement == "put_turn" and lease.head == head
            if is_next and self._database.row(what, "put_next_turn", values):
                return
            lease.head = ""
            values |= {
                "histories": self._database.statements.histories,
                "completed": bool(session.completed_at),
                "head": head,
                "facts": facts_of(session),
            }
            held, shared = self._put(what, statement, values)
            if shared:
                self._transact(what, lease, self._part)
                held, _ = self._put(what, statement, values)
            if not held:
                raise self._leases.busy(session_id)
            lease.head = head

    def _put(self, what: str, statement: str, values: dict[str, Any]) -> tuple[bool, bool]:
        """Write; return whether the lease was held, and whether shared turns were in the way."""
        row = self._database.row(what, statement, values, make=True)
        return (bool(row[0]), bool(row[1])) if row else (False, False)

    def _part(self, connection: Connection, values: dict[str, Any]) -> bool:
        """Give each session its own copy of the turns that it shares with this one."""
        statements = self._database.statements
        for name in ("own_turns", "own_segments", "lent_turns", "lent_segments", "own_all"):
            connection.execute(statements[name], values)
        return True

    @contextlib.contextmanager
    def _writing(self, session_id: str) -> Iterator[PostgresLease]:
        """Give the lease to write a session with; one write of it at a time."""
        with (
            self._locks[hash(session_id) % _LOCKS],
            self._leases.lease_for(session_id) as lease,
        ):
            yield lease

    def _transact(
        self,
        what: str,
        lease: PostgresLease,
        work: Callable[[Connection, dict[str, Any]], bool],
    ) -> bool:
        """Do *work* in a transaction, in which nobody takes the lease and nobody else shares."""
        statements = self._database.statements
        values = {"id": lease.session_id, "token": lease.token}
        key = {"key": self._database.schema.lock_key("sharing")}

        def transaction(connection: Connection) -> bool | None:
            with connection.transaction():
                connection.execute(statements["lock_sharing"], key)
                if connection.execute(statements["check_lease"], values).fetchone() is None:
                    return None
                return work(connection, dict(values))

        done = self._database.run(what, transaction)
        if done is None:
            raise self._leases.busy(lease.session_id)
        return done
