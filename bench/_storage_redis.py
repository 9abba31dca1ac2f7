"""The Redis storage for ``storage.py``, and redis-py beside it, on a server of their own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import redis
from storage import Unavailable

from caw_storage_redis import open_storage
from caw_storage_redis.url import settings_of
from caw_testkit.redis_server import RedisMissingError, RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Redis:
    """A server that has each write on the disk before it answers, except while it is filled.

    How durable a write is says the server in Redis, not the connection.
    """

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._client = client
        self._url = url
        self._durable = True

    def open(self, *, durable: bool = True) -> Any:
        """Open the storage; what is filled with it is filled before what is measured."""
        storage = open_storage(self._url)
        if not durable:
            return _Filling(storage, lambda: self._be(durable=False))
        self._be(durable=True)
        return storage

    @contextlib.contextmanager
    def bare(self) -> Iterator[Callable[[str], object]]:
        """One entry of a stream for each text, in a pipeline of its own."""

        def write(text: str) -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.xadd("bare", {"document": text})
                pipeline.execute()

        self._be(durable=True)
        yield write

    def _be(self, *, durable: bool) -> None:
        if durable != self._durable:
            self._client.config_set("appendfsync", "always" if durable else "no")
            self._durable = durable


class _Filling:
    """A storage from whose first call on the server does not wait for the disk."""

    def __init__(self, storage: Any, prepare: Callable[[], None]) -> None:
        self._storage = storage
        self._prepare = prepare

    def __getattr__(self, name: str) -> Any:
        self._prepare()
        return getattr(self._storage, name)


@contextlib.contextmanager
def started(_: Path) -> Iterator[Redis]:
    """Return what ``storage.py`` measures."""
    try:
        server = RedisServer()
    except RedisMissingError as error:
        raise Unavailable(str(error)) from error
    with server:
        settings = settings_of(server.url).server
        with redis.Redis(
            unix_socket_path=settings["path"], password=settings["password"]
        ) as client:
            yield Redis(client, server.url)
