"""What the tests of this storage share: a server, a schema of one's own, and storages on it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from caw_core.trajectory import SessionInfo
from caw_storage_postgres import open_storage
from caw_testkit.local_servers import missing
from caw_testkit.postgres_server import PostgresMissingError, PostgresServer, server_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_storage_postgres.storage import PostgresStorage

    Opener = Callable[..., PostgresStorage]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Start a server that the tests of a module may stop, kill and start again."""
    try:
        server = PostgresServer()
    except PostgresMissingError as error:
        missing(error)
    with server:
        yield server


@pytest.fixture
def url() -> str:
    """Return the URL of a schema that is not there yet."""
    url = server_url()
    return f"{url}{'&' if '?' in url else '?'}schema=test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Open storages, and close them at the end."""
    storages: list[PostgresStorage] = []

    def open_one(url: str, **options: object) -> PostgresStorage:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        storages.append(open_storage(url + more))
        return storages[-1]

    yield open_one
    for storage in storages:
        storage.close()


@pytest.fixture
def storage(opened: Opener, url: str) -> PostgresStorage:
    return opened(url)


@pytest.fixture
def info() -> SessionInfo:
    return SessionInfo(session_id="session-1", provider="codex", model="gpt-5", cwd="/work")
