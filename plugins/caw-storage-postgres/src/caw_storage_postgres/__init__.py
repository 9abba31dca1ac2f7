"""caw storage that keeps sessions in a PostgreSQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_storage_postgres.storage import PostgresStorage

__all__ = ["open_storage"]


def open_storage(url: str) -> PostgresStorage:
    """Return the storage that *url* names, without connecting.

    Args:
        url: ``postgresql://user:password@host:port/database?schema=caw``; see the README for the
            options. Everything that libpq takes in a URL may stand in it.

    Raises:
        ConfigError: libpq cannot read it, or an option is unknown or makes no sense.
    """
    # The driver takes a tenth of a second to import, which only its users should pay.
    from caw_storage_postgres.storage import PostgresStorage
    from caw_storage_postgres.url import settings_of

    return PostgresStorage(settings_of(url))
