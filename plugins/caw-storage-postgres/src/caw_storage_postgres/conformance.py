"""What proves this storage: ``caw plugins --check postgres`` runs it. It needs caw-testkit.

Each store is a schema with a user of its own on the server of
`caw_testkit.postgres_server.server_url`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from caw_testkit.conformance import StorageConformance
from caw_testkit.postgres_server import VARIABLE, server_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PASSWORD = "a password of no worth"  # noqa: S105 - of users that live as long as a test

_MAKE_USER = """
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('caw conformance'));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
        CREATE ROLE {role} LOGIN PASSWORD {password};
        EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), {name});
    END IF;
END $$
"""


class PostgresConformance(StorageConformance):
    """The storage with all that it can do."""

    capabilities = frozenset(
        {
            "delete_session",
            "durable",
            "expiring_leases",
            "fencing",
            "lease_session",
            "list_sessions",
            "persist_session",
            "publish_events",
            "read_events",
            "search_sessions",
            "server_clock",
            "share_turns",
            "turn_range",
        },
    )
    patience = 40.0
    lease_seconds = 10
    """Longer than a check may stand still on a busy machine, and shorter than the default."""

    @pytest.fixture(autouse=True)
    def _clean_server(self, tmp_path: Path) -> Iterator[None]:
        """Leave nothing on the server."""
        server_url()
        yield
        for folder in tmp_path.glob("store-*"):
            name = sql.Identifier(folder.name)
            _run("DROP SCHEMA IF EXISTS {name} CASCADE", name=name)
            drop = "DROP OWNED BY {name} CASCADE; DROP ROLE {name}"
            if _run("SELECT FROM pg_roles WHERE rolname = {text}", text=folder.name):
                _disconnect(folder)
                _run(drop, name=name)

    def make_storage(self, folder: Path) -> str:
        """Return the URL of the folder's schema, for a user who has no other."""
        name = folder.name
        _run(_MAKE_USER, name=name, role=sql.Identifier(name), password=_PASSWORD)
        url = urlsplit(os.environ[VARIABLE])
        address = f"{quote(name)}:{quote(_PASSWORD)}@{url.netloc.rpartition('@')[2]}"
        options = f"schema={quote(name)}&lease_seconds={self.lease_seconds}"
        query = "&".join(filter(None, (url.query, options)))
        return urlunsplit((url.scheme, address, url.path, query, ""))

    def make_unreachable(self, folder: Path) -> bool:
        """Throw the store's user out of the server."""
        _run("ALTER ROLE {name} NOLOGIN", name=sql.Identifier(folder.name))
        _disconnect(folder)
        return True

    def damage(self, folder: Path) -> bool:
        """Cut the documents short, as nothing but a hand can."""
        for table in ("turns", "heads"):
            _run(
                "UPDATE {table} SET document = left(document, length(document) / 2)",
                table=sql.Identifier(folder.name, table),
            )
        return True

    def let_lease_run_out(self, folder: Path, session_id: str) -> None:
        """Move the end of the lease into the past."""
        _run(
            "UPDATE {table} SET expires = clock_timestamp() - interval '1 second' "
            "WHERE session_id = {session_id}",
            table=sql.Identifier(folder.name, "leases"),
            session_id=session_id,
        )


def _disconnect(folder: Path) -> None:
    _run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = {name}",
        name=folder.name,
    )


def _run(statement: str, **values: Any) -> int:
    """Run a statement as the server's owner; return how many rows it found."""
    with psycopg.connect(os.environ[VARIABLE], autocommit=True) as connection:
        parts = {
            name: value if isinstance(value, sql.Composable) else sql.Literal(value)
            for name, value in values.items()
        }
        query = sql.SQL(statement).format(**parts)
        return connection.execute(query).rowcount
