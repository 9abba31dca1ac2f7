"""The file: who may read it, what is in its place, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import gc
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import StorageError
from caw_core.storage import SessionPage, SessionQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_sqlite import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_storage_sqlite.storage import SqliteStorage

    Ask = Callable[..., list[tuple[object, ...]]]

posix = pytest.mark.skipif(os.name != "posix", reason="modes and limits are POSIX")

LARGE = Turn(index=1, input="large", output=(TextBlock(text="x" * 400_000),))


@pytest.fixture
def kept(storage: SqliteStorage, info: SessionInfo) -> SqliteStorage:
    storage.persist_turn(info, Turn(index=0, input="one"))
    return storage


def must_have(storage: SqliteStorage, count: int) -> None:
    record = storage.load_trajectory("session-1", None)
    assert record is not None
    assert record.num_turns == count


def test_reading_makes_nothing(storage: SqliteStorage, path: Path) -> None:
    assert storage.load_trajectory("session-1", None) is None
    assert storage.list_sessions(SessionQuery()) == SessionPage()
    assert not storage.delete_session("session-1")
    assert storage.read_events("session-1", "", 10, 0) == []
    assert not path.parent.exists()


@posix
def test_files_are_their_owners_alone_whatever_the_umask(
    storage: SqliteStorage, path: Path, info: SessionInfo
) -> None:
    before = os.umask(0)
    try:
        storage.persist_session(info)
    finally:
        os.umask(before)
    modes = {
        file.name: file.stat().st_mode & 0o777 for file in [path.parent, *path.parent.iterdir()]
    }
    assert modes == {
        "data": 0o700,
        "sessions.db": 0o600,
        "sessions.db-shm": 0o600,
        "sessions.db-wal": 0o600,
    }


@posix
def test_open_file_is_closed_to_others(kept: SqliteStorage, path: Path) -> None:
    kept.close()
    path.chmod(0o644)
    must_have(kept, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_last_connection_leaves_one_file(kept: SqliteStorage, path: Path) -> None:
    kept.close()
    assert [file.name for file in path.parent.iterdir()] == ["sessions.db"]


def test_dropped_storage_is_closed(path: Path, info: SessionInfo) -> None:
    open_storage(f"sqlite:///{path}").persist_session(info)
    gc.collect()
    assert [file.name for file in path.parent.iterdir()] == ["sessions.db"]


def test_driver_is_imported_when_a_storage_is_opened(path: Path) -> None:
    program = """
import sys, caw_storage_sqlite
print("sqlite3" in sys.modules)
caw_storage_sqlite.open_storage("sqlite:///" + sys.argv[1])
print("sqlite3" in sys.modules)
"""
    assert run(program, path).split() == ["False", "True"]


def test_file_that_is_no_database_is_told(storage: SqliteStorage, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("my diary " * 1000, encoding="utf-8")
    with pytest.raises(StorageError, match="Another file, or a damaged one"):
        storage.load_trajectory("session-1", None)
    with pytest.raises(StorageError, match="Another file, or a damaged one"):
        storage.persist_session(SessionInfo(session_id="a", provider="p"))
    assert path.read_text("utf-8").startswith("my diary")


def test_database_of_another_program_is_left_alone(
    storage: SqliteStorage, path: Path, info: SessionInfo, database: Ask
) -> None:
    path.parent.mkdir()
    database("CREATE TABLE recipes (name)")
    with pytest.raises(StorageError, match="a database of another program"):
        storage.persist_session(info)
    assert database("SELECT name FROM sqlite_schema") == [("recipes",)]


def test_newer_schema_is_refused(
    kept: SqliteStorage, reopen: Callable[[], SqliteStorage], database: Ask, info: SessionInfo
) -> None:
    kept.close()
    database("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match=r"has version 99.*Upgrade caw-storage-sqlite"):
        reopen().load_trajectory("session-1", None)
    with pytest.raises(StorageError, match=r"has version 99.*Upgrade caw-storage-sqlite"):
        reopen().persist_session(info)


def test_half_a_file_is_damage_and_no_absence(kept: SqliteStorage, path: Path) -> None:
    kept.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StorageError, match="damaged"):
        kept.load_trajectory("session-1", None)


def test_file_that_was_removed_is_told(kept: SqliteStorage, path: Path, info: SessionInfo) -> None:
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StorageError, match="removed or moved"):
        kept.load_trajectory("session-1", None)
    with pytest.raises(StorageError, match="removed or moved"):
        kept.persist_session(info)
    assert not path.exists()


def test_file_that_was_put_in_its_place_is_read(
    kept: SqliteStorage, path: Path, reopen: Callable[[], SqliteStorage], info: SessionInfo
) -> None:
    kept.close()
    backup = path.with_name("backup.db")
    backup.write_bytes(path.read_bytes())
    kept.persist_turn(info, Turn(index=1, input="two"))
    must_have(kept, 2)
    for name in ("sessions.db-wal", "sessions.db-shm"):
        path.with_name(name).unlink()
    backup.replace(path)
    must_have(kept, 1)


def test_full_database_loses_nothing_and_goes_on(kept: SqliteStorage, info: SessionInfo) -> None:
    with kept._connections.reading("read") as connection:
        assert connection is not None
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(StorageError, match=r"full.*Free some space"):
        kept.persist_turn(info, LARGE)
    must_have(kept, 1)
    kept.persist_turn(info, LARGE)
    must_have(kept, 2)


@posix
def test_disk_that_refuses_loses_nothing_and_goes_on(
    kept: SqliteStorage, path: Path, info: SessionInfo
) -> None:
    program = """
import resource, sys
from caw_core.errors import StorageError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_sqlite import open_storage
storage = open_storage("sqlite:///" + sys.argv[1])
info = SessionInfo(session_id="session-1", provider="codex")
storage.load_trajectory("session-1", None)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    storage.persist_turn(info, Turn(index=1, input="x" * 400_000))
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
storage.persist_turn(info, Turn(index=1, input="x" * 400_000))
"""
    done = run(program, path)
    assert "cannot write" in done
    assert "Look after the disk" in done or "Free some space" in done
    must_have(kept, 2)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user"
)
def test_file_that_may_not_be_written_is_told(kept: SqliteStorage, path: Path) -> None:
    kept.close()
    # Whoever else it is must reach the folder, and nothing in it.
    for folder in (path.parent, *path.parents[1:4]):
        folder.chmod(0o755)
    path.chmod(0o644)
    program = """
import os, sys
from caw_core.errors import StorageError
from caw_core.trajectory import SessionInfo, Turn
import caw_core.serialize
from caw_storage_sqlite import open_storage
storage = open_storage("sqlite:///" + sys.argv[1])
os.setuid(65534)
for call in (
    lambda: storage.load_trajectory("session-1", None),
    lambda: storage.persist_session(SessionInfo(session_id="session-1", provider="codex")),
):
    try:
        print("no error", call())
    except StorageError as error:
        print(error)
"""
    said = run(program, path).splitlines()
    assert len(said) == 2
    assert all("Give this user the right" in line for line in said)


def test_failure_of_the_system_is_a_storage_error(path: Path, storage: SqliteStorage) -> None:
    path.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match=str(path)) as caught:
        storage.load_trajectory("session-1", None)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOTDIR


def test_drivers_error_is_the_cause(kept: SqliteStorage, database: Ask) -> None:
    database("DROP TABLE heads")
    with pytest.raises(StorageError, match="no such table") as caught:
        kept.load_trajectory("session-1", None)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


def run(program: str, path: Path) -> str:
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
