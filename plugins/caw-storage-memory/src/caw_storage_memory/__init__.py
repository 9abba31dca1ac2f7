"""caw storage that keeps sessions in memory, for tests and for services that keep nothing."""

from __future__ import annotations

import threading

from caw_core.errors import ConfigError
from caw_storage_memory.records import Records
from caw_storage_memory.storage import MemoryStorage

__all__ = ["MemoryStorage", "open_storage"]

_named: dict[str, Records] = {}
_mutex = threading.Lock()


def open_storage(url: str) -> MemoryStorage:
    """Return the storage that *url* names.

    Args:
        url: ``memory:`` for an empty store that nobody else has, or ``memory://name`` for the
            one of that name in this process.

    Raises:
        ConfigError: another scheme, or no name after ``//``.
    """
    scheme, _, name = url.partition("://")
    if url.lower() == "memory:":
        return MemoryStorage()
    if scheme.lower() != "memory" or not name:
        msg = f"{url!r} is no URL of this storage: write memory: or memory://name"
        raise ConfigError(msg)
    with _mutex:
        return MemoryStorage(_named.setdefault(name, Records()))
