"""The PostgreSQL storage for ``storage.py``, and psycopg beside it, on a server of their own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
from storage import Unavailable

from caw_storage_postgres import open_storage
from caw_testkit.postgres_server import PostgresMissingError, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Postgres:
    """Two schemas on a server, one for the bare driver."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, *, durable: bool = True) -> Any:
        """Open the storage."""
        mark = "&" if "?" in self._url else "?"
        commit = "on" if durable else "off"
        return open_storage(f"{self._url}{mark}synchronous_commit={commit}")

    @contextlib.contextmanager
    def bare(self) -> Iterator[Callable[[str], object]]:
        """One row for each text, committed before the call returns."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS public.bare "
                "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document text)"
            )
            insert = "INSERT INTO public.bare (document) VALUES (%s)"
            yield lambda text: connection.execute(insert, (text,))


@contextlib.contextmanager
def started(_: Path) -> Iterator[Postgres]:
    """Return what ``storage.py`` measures."""
    try:
        server = PostgresServer()
    except PostgresMissingError as error:
        raise Unavailable(str(error)) from error
    with server:
        yield Postgres(server.url)
