"""What the tests of this storage share: one storage in a new folder, and what it keeps."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from caw_core.trajectory import SessionInfo
from caw_storage_sqlite import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caw_storage_sqlite.storage import SqliteStorage

    Ask = Callable[..., list[tuple[object, ...]]]
    Reopen = Callable[..., SqliteStorage]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def reopen(path: Path) -> Iterator[Reopen]:
    """Open the storage once more; it is closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def opened(query: str = "") -> SqliteStorage:
            storage = open_storage(f"sqlite:///{path}{query}")
            stack.callback(storage.close)
            return storage

        yield opened


@pytest.fixture
def storage(reopen: Reopen) -> SqliteStorage:
    return reopen()


@pytest.fixture
def info() -> SessionInfo:
    return SessionInfo(session_id="session-1", provider="codex", model="gpt-5", cwd="/work")


@pytest.fixture
def database(path: Path) -> Ask:
    """Ask the file with a connection of our own."""

    def ask(sql: str, *values: object) -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    return ask
