"""The tables, and how a database of an older version becomes one of this.

``sessions``
    a row for each session, with what lists show and filter by. ``written`` is when it was last
    written, in microseconds since 1970; no two writes to a database have the same.
``heads``
    the head's document. ``labels`` has its tags and the members of its metadata, as digests.
``turns``
    which document is turn *number* of a session. Forked sessions share documents.
``documents``
    a turn's document, first written at ``id`` (a value of ``written``). A running turn's changes;
    what takes the place of an ended one, or of one that is in the index of words, is a new row.
    ``text`` is what a search looks through.
``leases``
    who may write a session, whether it is stored already or not.
``events``
    what running sessions have published, several events in a row; *turn* and *number* are the last
    one's.
``store``
    one row: the last token, how far the index of words has come, and a time that is over.

The index itself, ``words``, is made at the first search, where SQLite has FTS5. Documents are JSON
as `caw_core.serialize` makes them.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from caw_core.errors import StorageError
from caw_storage_sqlite.failures import is_busy

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x63617731
"""Says in the file's header whose it is (``caw1``); see ``PRAGMA application_id``."""

OLDEST_SQLITE = (3, 37, 0)
"""The first one with STRICT tables (https://www.sqlite.org/stricttables.html)."""

_FIRST = (
    """CREATE TABLE store (
        token INTEGER NOT NULL, indexed INTEGER NOT NULL, floor INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO store VALUES (0, 0, 0)",
    """CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        written INTEGER NOT NULL,
        provider TEXT NOT NULL,
        cwd TEXT NOT NULL,
        ended INTEGER NOT NULL,
        title TEXT NOT NULL DEFAULT '',
        status TEXT NOT NULL DEFAULT '',
        num_turns INTEGER NOT NULL DEFAULT 0,
        first_turn INTEGER,
        last_turn INTEGER
    ) STRICT""",
    "CREATE INDEX sessions_written ON sessions (written)",
    """CREATE TABLE heads (
        session INTEGER PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
        document TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE labels (
        session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
        label BLOB NOT NULL,
        PRIMARY KEY (session, label)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY, text TEXT NOT NULL, document TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE turns (
        session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
        number INTEGER NOT NULL,
        status TEXT NOT NULL,
        document INTEGER NOT NULL REFERENCES documents DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (session, number)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX turns_document ON turns (document)",
    """CREATE TABLE leases (
        session_id TEXT PRIMARY KEY,
        token INTEGER NOT NULL,
        until INTEGER NOT NULL,
        host TEXT NOT NULL,
        boot TEXT NOT NULL,
        space TEXT NOT NULL,
        pid INTEGER NOT NULL,
        begun INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL,
        written INTEGER NOT NULL,
        turn INTEGER NOT NULL,
        number INTEGER NOT NULL,
        count INTEGER NOT NULL,
        size INTEGER NOT NULL,
        document TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX events_place ON events (session_id, turn, number, written)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""The statements that lead from each version to the next; what was released never changes."""

VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, path: Path, *, make: bool, patience: float) -> bool:
    """Bring the database to this version; several processes may do so at once.

    Args:
        connection: to the database, outside of any transaction.
        path: for messages.
        make: also where it is empty.
        patience: how long to wait for other processes, in seconds.

    Returns:
        False if it is empty and stays so.

    Raises:
        StorageError: it belongs to another program or to a newer version.
        sqlite3.Error: as SQLite raises it.
    """
    if _version(connection, path) == VERSION:
        return True
    if not make and not _version(connection, path):
        return False
    # SQLite does not wait by itself where two connections change the journal's mode at once.
    deadline = time.monotonic() + patience
    while True:
        try:
            _migrate(connection, path)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return True


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if owner != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if owner or version or tables:
            if connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,):
                # Another connection made it between the questions.
                return _version(connection, path)
            msg = f"{path} is a database of another program; choose another file"
            raise StorageError(msg)
    if version > VERSION:
        msg = (
            f"{path} was written by a newer caw-storage-sqlite: its schema has version {version}, "
            f"this one knows {VERSION}. Upgrade caw-storage-sqlite."
        )
        raise StorageError(msg)
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # Both are kept in the file's header; the first one counts only before there is any table.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        msg = (
            f"{path} is on a file system where SQLite's write-ahead log does not work, such as a "
            "network's. Choose a local disk, or a storage that is a server."
        )
        raise StorageError(msg)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[_version(connection, path) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
