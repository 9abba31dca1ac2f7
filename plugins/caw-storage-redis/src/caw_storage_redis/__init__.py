"""caw storage that keeps sessions in Redis or Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_storage_redis.storage import RedisStorage

__all__ = ["open_storage"]


def open_storage(url: str) -> RedisStorage:
    """Return the storage that *url* names, without connecting.

    Args:
        url: ``redis://user:password@host:port/database?prefix=caw``, or ``rediss://…`` for TLS;
            see the README for the options.

    Raises:
        ConfigError: it cannot be read, or an option is unknown or makes no sense.
    """
    # The driver takes a tenth of a second to import, which only its users should pay.
    from caw_storage_redis.storage import RedisStorage
    from caw_storage_redis.url import settings_of

    return RedisStorage(settings_of(url))
