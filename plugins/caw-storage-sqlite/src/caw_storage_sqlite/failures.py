"""What SQLite and the system say when something fails, in caw's words."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from caw_core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RIGHTS = (
    "Give this user the right to read and write the file, those beside it that begin with its "
    "name, and their folder."
)

_ADVICE = {
    sqlite3.SQLITE_BUSY: "Another process has been writing for a minute. End it, or try again.",
    sqlite3.SQLITE_LOCKED: "Another process has been writing for a minute. End it, or try again.",
    sqlite3.SQLITE_CANTOPEN: _RIGHTS,
    sqlite3.SQLITE_READONLY: _RIGHTS,
    sqlite3.SQLITE_PERM: _RIGHTS,
    sqlite3.SQLITE_AUTH: _RIGHTS,
    sqlite3.SQLITE_FULL: "Free some space and try again.",
    sqlite3.SQLITE_IOERR: "Look after the disk and try again.",
    sqlite3.SQLITE_CORRUPT: (
        "The file is damaged. Put a backup in its place, or save what is left with the command "
        "'.recover' of the sqlite3 program."
    ),
    sqlite3.SQLITE_NOTADB: "Another file, or a damaged one, is in the place of the database.",
    sqlite3.SQLITE_TOOBIG: "SQLite keeps no value of more than a gigabyte.",
}
"""What to do for each result code (https://www.sqlite.org/rescode.html)."""

_PRIMARY = 0xFF
"""An extended result code has the primary one in its lowest byte."""


@contextlib.contextmanager
def naming(path: Path, deed: str) -> Iterator[None]:
    """Turn what goes wrong inside into a `StorageError` that names *path* and says what to do."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        advice = _ADVICE.get(code, "Look at the file with the sqlite3 program.")
        msg = f"cannot {deed} {path}: {error}. {advice}"
        raise StorageError(msg) from error
    except OSError as error:
        msg = f"cannot {deed} {path}: {error.strerror or error}. {_RIGHTS}"
        raise StorageError(msg) from error


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection was in the way, so that it is worth trying again."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
