"""caw storage that keeps all sessions in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_storage_sqlite.storage import SqliteStorage

__all__ = ["open_storage"]


def open_storage(url: str) -> SqliteStorage:
    """Return the storage that *url* names, without touching the disk.

    Args:
        url: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, special characters
            percent-encoded; a relative path starts at the current folder. With
            ``?synchronous=normal`` a power cut may take the last turns, with ``?search=scan``
            there is no index of words.

    Raises:
        ConfigError: it names no file of this machine, or an option that there is not.
    """
    from caw_storage_sqlite.storage import SqliteStorage
    from caw_storage_sqlite.url import location_of_url

    return SqliteStorage(location_of_url(url))
