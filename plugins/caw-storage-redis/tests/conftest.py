"""What the tests of this storage share: a server, a prefix of one's own, and storages on it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import redis

from caw_core.trajectory import SessionInfo
from caw_storage_redis import open_storage
from caw_storage_redis.url import settings_of
from caw_testkit.local_servers import missing
from caw_testkit.redis_server import RedisMissingError, RedisServer, server_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_storage_redis.storage import RedisStorage

    Opener = Callable[..., RedisStorage]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Start a server that the tests of a module may stop, kill and start again."""
    try:
        server = RedisServer()
    except RedisMissingError as error:
        missing(error)
    with server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """Connect to that server as its owner."""
    settings = settings_of(server.url)
    with redis.Redis(
        unix_socket_path=settings.server["path"], password=settings.server["password"]
    ) as client:
        yield client


@pytest.fixture
def url() -> str:
    """Return the URL of a prefix that nobody has used."""
    url = server_url()
    return f"{url}{'&' if '?' in url else '?'}prefix=test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Open storages, and close them at the end."""
    storages: list[RedisStorage] = []

    def open_one(url: str, **options: object) -> RedisStorage:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        storages.append(open_storage(url + more))
        return storages[-1]

    yield open_one
    for storage in storages:
        storage.close()


@pytest.fixture
def storage(opened: Opener, url: str) -> RedisStorage:
    return opened(url)


@pytest.fixture
def info() -> SessionInfo:
    return SessionInfo(session_id="session-1", provider="codex", model="gpt-5", cwd="/work")
