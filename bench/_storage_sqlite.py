"""The SQLite storage for ``storage.py``, and Python's own driver beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from caw_storage_sqlite import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Sqlite:
    """A database in a folder, and another one for the bare driver."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, *, durable: bool = True) -> Any:
        """Open the storage."""
        level = "full" if durable else "normal"
        path = (self._folder / "caw.db").absolute().as_posix()
        return open_storage(f"sqlite:///{path}?synchronous={level}")

    @contextlib.contextmanager
    def bare(self) -> Iterator[Callable[[str], object]]:
        """One row for each text, as durable as the storage's."""
        path = self._folder / "bare.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("CREATE TABLE turns (id INTEGER PRIMARY KEY, document TEXT) STRICT")
            insert = "INSERT INTO turns (document) VALUES (?)"
            yield lambda text: database.execute(insert, (text,))


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Sqlite]:
    """Return what ``storage.py`` measures."""
    yield Sqlite(folder)
