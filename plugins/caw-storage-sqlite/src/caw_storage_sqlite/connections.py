"""Connections to one database file: a few, lent to one thread at a time.

SQLite holds locks that belong to the process, and its own table of open files is copied by a fork
(https://www.sqlite.org/howtocorrupt.html, section 2.6). So before a fork every connection is
closed, and the child opens its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core.errors import StorageError
from caw_storage_sqlite import schema
from caw_storage_sqlite.failures import naming

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0
"""How long to wait for other writers, in seconds."""

_MOST_IDLE = 4
_FORK_PATIENCE = 10.0
_WAL_LIMIT = 8 * 2**20
"""To how many bytes the write-ahead log is cut once it has been copied into the file."""

_PAGES_AT_ONCE = 1024
"""How many pages are given back in one transaction; other writers come in between."""

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


class Connection(sqlite3.Connection):
    """A connection that knows to which file it leads."""

    file: tuple[int, int] = (0, 0)
    level: str = ""

    def wait_for_disk(self, level: str) -> None:
        """Choose ``full`` or ``normal`` for the transactions that follow."""
        if self.level != level:
            self.execute(f"PRAGMA synchronous = {level}")
            self.level = level


class Connections:
    """Opens, lends and closes connections; safe to use from several threads.

    Args:
        path: the database file.
        synchronous: ``full`` or ``normal``, for writes that must be durable.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._seen = False
        self._broken = False
        self._reset()
        weakref.finalize(self, _close_all, self._idle)
        _all.add(self)

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._forking = False
        # Threads of one process wait here in turn, and not in SQLite, which polls.
        self._writer = threading.Lock()

    @contextlib.contextmanager
    def reading(self, deed: str) -> Iterator[Connection | None]:
        """Lend a connection that sees one state of the database; None where nothing is stored.

        Args:
            deed: what is done, for messages.

        Raises:
            StorageError: the database cannot be read.
        """
        with naming(self.path, deed), self._lent(make=False) as connection:
            if connection is None:
                yield None
                return
            with _transaction(connection, "BEGIN"):
                yield connection

    @contextlib.contextmanager
    def writing(self, deed: str, *, durable: bool = True) -> Iterator[Connection]:
        """Lend a connection in a transaction that is committed at the end, or has no effect.

        A database that is not there yet is made.

        Args:
            deed: what is done, for messages.
            durable: wait until it is on the disk, as the storage's URL says. Otherwise it survives
                the death of the process, and a power cut may take it.

        Raises:
            StorageError: the database cannot be written.
        """
        with naming(self.path, deed), self._turn(), self._lent(make=True) as connection:
            assert connection is not None  # noqa: S101 - it is made where there is none
            connection.wait_for_disk(self._synchronous if durable else "normal")
            with _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection

    def shrink(self) -> None:
        """Give pages that are no longer used back to the file system, a few at a time."""
        left = -1
        while left:
            with naming(self.path, "shrink"), self._turn(), self._lent(make=True) as connection:
                assert connection is not None  # noqa: S101 - it is made where there is none
                before, left = left, connection.execute("PRAGMA freelist_count").fetchone()[0]
                if left == before:
                    return
                # One step of the statement frees one page, and execute() makes one step.
                connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file, as far as nobody reads older states."""
        with naming(self.path, "write"), self._lent(make=False) as connection:
            if connection is not None:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close what is not in use; a later call opens it anew."""
        with self._condition:
            _close_all(self._idle)

    # --------------------------------------------------------------------------------- lending

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._writer.acquire(timeout=PATIENCE):
            msg = f"cannot write {self.path}: other threads have been writing for a minute"
            raise StorageError(msg)
        try:
            yield
        finally:
            self._writer.release()

    @contextlib.contextmanager
    def _lent(self, *, make: bool) -> Iterator[Connection | None]:
        connection = self._take(make=make)
        if connection is None:
            yield None
            return
        try:
            yield connection
        except sqlite3.Error:
            # Whatever state it is in, a new one will not be.
            self._give_back(connection, keep=False)
            raise
        except BaseException:
            self._give_back(connection, keep=not connection.in_transaction)
            raise
        self._give_back(connection, keep=True)

    def _take(self, *, make: bool) -> Connection | None:
        with self._condition:
            self._condition.wait_for(lambda: not self._forking)
            if self._broken:
                msg = (
                    f"cannot use {self.path}: this process was forked while a thread of its parent "
                    "used it. Open the storage after the fork, or start processes with 'spawn'."
                )
                raise StorageError(msg)
            file = self._file(make=make)
            if file is None:
                return None
            while self._idle:
                connection = self._idle.pop()
                if connection.file == file:
                    self._used.add(connection)
                    return connection
                connection.close()
            opened = self._open(file, make=make)
            if opened is not None:
                self._used.add(opened)
            return opened

    def _give_back(self, connection: Connection, *, keep: bool) -> None:
        with self._condition:
            self._used.discard(connection)
            if keep and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
            else:
                connection.close()
            self._condition.notify_all()

    # --------------------------------------------------------------------------------- opening

    def _file(self, *, make: bool) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            if self._seen:
                # To begin a new one would pass for a store without any session.
                msg = f"{self.path} was removed or moved while it was in use. Put it back."
                raise StorageError(msg) from None
            if not make:
                return None
            _make_file(self.path)
            status = self.path.stat()
        return status.st_dev, status.st_ino

    def _open(self, file: tuple[int, int], *, make: bool) -> Connection | None:
        if sqlite3.sqlite_version_info < schema.OLDEST_SQLITE:
            needed = ".".join(map(str, schema.OLDEST_SQLITE))
            msg = f"this Python has SQLite {sqlite3.sqlite_version}; {needed} or newer is needed"
            raise StorageError(msg)
        # By URI, because SQLite would make a file that has gone since with the umask's mode.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
            uri=True,
        )
        try:
            connection.file = file
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = FAST")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
            if schema.prepare(connection, self.path, make=make, patience=PATIENCE):
                self._seen = True
                _make_private(self.path)
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        return None

    # --------------------------------------------------------------------------------- forking

    def before_fork(self) -> None:
        """Close all connections, once nobody uses one; nobody gets one until the fork is over."""
        if not self._condition.acquire(timeout=_FORK_PATIENCE):
            return
        self._forking = True
        self._condition.wait_for(lambda: not self._used, timeout=_FORK_PATIENCE)
        _close_all(self._idle)
        self._condition.release()

    def after_fork_in_parent(self) -> None:
        """Lend connections again."""
        with self._condition:
            self._forking = False
            self._condition.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin without connections. Those that are left over are the parent's, never closed."""
        self._broken = self._broken or bool(self._used or self._idle)
        _abandoned.extend((*self._used, *self._idle))
        self._used.clear()
        self._idle.clear()
        self._reset()


@contextlib.contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def _make_file(path: Path) -> None:
    if not path.parent.is_dir():
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(mode=_FOLDER_MODE)
            path.parent.chmod(_FOLDER_MODE)
            _sync_folder(path.parent.parent)
    with contextlib.suppress(FileExistsError):
        # Never one that exists: to close it would drop the locks that this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE))
        path.chmod(_FILE_MODE)
        _sync_folder(path.parent)


def _make_private(path: Path) -> None:
    # SQLite gives the files beside it the mode that this one has.
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            file = path.with_name(name)
            if os.name == "posix" and file.stat().st_mode & 0o077:
                file.chmod(_FILE_MODE)


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


_all: weakref.WeakSet[Connections] = weakref.WeakSet()
_abandoned: list[Connection] = []


class _Fork:
    """One fork at a time; what was paused before it goes on after it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paused: list[Connections] = []

    def before(self) -> None:
        self._lock.acquire()
        self._paused = list(_all)
        for connections in self._paused:
            connections.before_fork()

    def in_parent(self) -> None:
        paused, self._paused = self._paused, []
        self._lock.release()
        for connections in paused:
            connections.after_fork_in_parent()

    def in_child(self) -> None:
        paused, self._paused = self._paused, []
        self._lock = threading.Lock()
        for connections in paused:
            connections.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=_fork.in_parent,
        after_in_child=_fork.in_child,
    )
