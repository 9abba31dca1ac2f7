"""The tables, and how older ones become them.

The list only grows, since databases exist that have its beginning. Each entry is run once, in a
transaction, by one process while the others wait.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from psycopg import sql

from caw_core.errors import StorageError

if TYPE_CHECKING:
    from caw_storage_postgres.connections import Connection, Connections

MIGRATIONS = (
    """
    CREATE SEQUENCE {s}.tokens;
    CREATE SEQUENCE {s}.histories;

    -- Who may write a session; there before its record, and gone with it.
    CREATE TABLE {s}.leases (
        session_id text COLLATE "C" PRIMARY KEY,
        token bigint NOT NULL,
        holder text NOT NULL,
        request text NOT NULL,
        expires timestamptz NOT NULL
    );

    -- What changes with each turn, in a small row.
    CREATE TABLE {s}.sessions (
        id text COLLATE "C" PRIMARY KEY,
        history bigint NOT NULL UNIQUE,
        updated bigint NOT NULL,        -- microseconds since 1970
        num_turns bigint NOT NULL DEFAULT 0,
        first_turn bigint,
        last_turn bigint,
        status text NOT NULL DEFAULT '',
        title text NOT NULL DEFAULT '',
        shared bigint NOT NULL DEFAULT 0,   -- turns below it may be another history's
        lent bigint NOT NULL DEFAULT 0      -- turns below it may be another session's, too
    );
    CREATE INDEX sessions_updated ON {s}.sessions (updated, id);

    CREATE TABLE {s}.heads (
        session_id text COLLATE "C" PRIMARY KEY,
        completed boolean NOT NULL,
        facts jsonb NOT NULL,
        document text NOT NULL
    );
    CREATE INDEX heads_facts ON {s}.heads USING gin (facts jsonb_path_ops);

    CREATE TABLE {s}.turns (
        history bigint NOT NULL,
        index bigint NOT NULL,
        status text NOT NULL,
        version smallint NOT NULL,      -- of the document
        all_words boolean NOT NULL,
        words tsvector NOT NULL,
        document text NOT NULL,
        PRIMARY KEY (history, index)
    );
    CREATE INDEX turns_words ON {s}.turns USING gin (words);
    CREATE INDEX turns_without_all_words ON {s}.turns (history, index) WHERE NOT all_words;

    -- The beginnings of forks: turns of another history, from start to before stop.
    CREATE TABLE {s}.segments (
        session_id text COLLATE "C" NOT NULL,
        history bigint NOT NULL,
        start bigint NOT NULL,
        stop bigint NOT NULL,
        PRIMARY KEY (session_id, history)
    );
    CREATE INDEX segments_history ON {s}.segments (history);

    -- Not worth a log: what matters of an event is in its turn.
    CREATE UNLOGGED TABLE {s}.live_events (
        session_id text COLLATE "C" NOT NULL,
        turn bigint NOT NULL,
        number bigint NOT NULL,
        size integer NOT NULL,
        document text NOT NULL,
        PRIMARY KEY (session_id, turn, number)
    );

    -- Ten times as fast as the default, which not every server is built to beat.
    DO $$ BEGIN
        ALTER TABLE {s}.turns ALTER COLUMN document SET COMPRESSION lz4;
        ALTER TABLE {s}.heads ALTER COLUMN document SET COMPRESSION lz4;
    EXCEPTION WHEN OTHERS THEN NULL;
    END $$;
    """,
)

_EXISTS = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = 'migrations')
"""


class Schema:
    """The tables of one storage.

    Args:
        connections: where they are.
    """

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self._name = connections.settings.schema
        self._ready = False

    def is_there(self, what: str, *, make: bool) -> bool:
        """Bring the tables up to date; tell whether there are any.

        Args:
            what: what they are needed for, for messages.
            make: make them if there are none.

        Raises:
            StorageError: a newer caw made them, or they cannot be made.
        """
        if not self._ready:
            self._ready = self.connections.run(
                what, lambda connection: self._prepare(connection, make=make)
            )
        return self._ready

    def forget(self) -> None:
        """Look again next time: the tables are gone."""
        self._ready = False

    def lock_key(self, purpose: str) -> int:
        """Return the number of this schema's advisory lock for a purpose."""
        digest = hashlib.sha256(f"caw {purpose} {self._name}".encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest()[:8], "big", signed=True)

    def _prepare(self, connection: Connection, *, make: bool) -> bool:
        version = self._version(connection)
        if version is None and not make:
            return False
        if version == len(MIGRATIONS):
            return True
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (self.lock_key("migrations"),))
            self._migrate(connection)
        return True

    def _version(self, connection: Connection) -> int | None:
        if not _one(connection.execute(_EXISTS, (self._name,)).fetchone()):
            return None
        query = self._query("SELECT coalesce(max(version), 0) FROM {s}.migrations")
        version = _one(connection.execute(query).fetchone())
        if version > len(MIGRATIONS):
            msg = (
                f"the tables in schema {self._name!r} have version {version}, this "
                f"caw-storage-postgres knows {len(MIGRATIONS)}. Upgrade it."
            )
            raise StorageError(msg)
        return int(version)

    def _migrate(self, connection: Connection) -> None:
        version = self._version(connection)
        if version is None:
            # Nobody who may only use a schema that is there needs the right to make one.
            there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s)"
            if not _one(connection.execute(there, (self._name,)).fetchone()):
                connection.execute(self._query("CREATE SCHEMA {s}"))
            connection.execute(
                self._query(
                    "CREATE TABLE {s}.migrations (version integer PRIMARY KEY, "
                    "applied timestamptz NOT NULL DEFAULT now())"
                )
            )
        for number in range(version or 0, len(MIGRATIONS)):
            connection.execute(self._query(MIGRATIONS[number]))
            query = self._query("INSERT INTO {s}.migrations (version) VALUES (%s)")
            connection.execute(query, (number + 1,))

    def _query(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(s=sql.Identifier(self._name))


def _one(row: tuple[object, ...] | None) -> int:
    # Each of these questions has one answer, which is a number or a truth.
    return int(row[0]) if row and isinstance(row[0], int) else 0
