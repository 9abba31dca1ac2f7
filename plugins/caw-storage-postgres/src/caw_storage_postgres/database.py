"""Statements run on the tables, made where they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import errors

from caw_core.errors import StorageError
from caw_storage_postgres.connections import Connection, Connections
from caw_storage_postgres.migrations import Schema
from caw_storage_postgres.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caw_storage_postgres.url import Settings

_T = TypeVar("_T")
Row = tuple[Any, ...]


class Database:
    """The tables of one storage.

    Args:
        settings: where they are.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.statements = Statements(settings.schema)
        self.schema = Schema(Connections(settings))
        self._connections = self.schema.connections

    def row(
        self,
        what: str,
        statement: str,
        values: Mapping[str, Any],
        *,
        make: bool = False,
    ) -> Row | None:
        """Run a statement; return the first row of what it gives, None if there is none.

        Args:
            what: what it does, for messages.
            statement: its name in `Statements`.
            values: its parameters.
            make: make the tables if there are none.
        """
        rows = self.rows(what, self.statements[statement], values, make=make)
        return rows[0] if rows else None

    def rows(
        self,
        what: str,
        query: bytes,
        values: Mapping[str, Any],
        *,
        make: bool = False,
    ) -> list[Row]:
        """Run a statement; return all rows, none if there are no tables."""

        def work(connection: Connection) -> list[Row]:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

        return self.run(what, work, make=make) or []

    def run(
        self,
        what: str,
        work: Callable[[Connection], _T],
        *,
        make: bool = False,
    ) -> _T | None:
        """Do *work*, which is idempotent; None if there are no tables.

        Raises:
            StorageError: the server is down, hangs or refuses.
        """
        if not self.schema.is_there(what, make=make):
            return None
        try:
            return self._connections.run(what, work)
        except StorageError as error:
            if isinstance(error.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
                self.schema.forget()
            raise

    def close(self) -> None:
        """Give all connections back; idempotent."""
        self._connections.close()
