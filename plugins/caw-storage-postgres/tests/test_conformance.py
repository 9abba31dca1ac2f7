"""The suite that every storage is proven with."""

from __future__ import annotations

from caw_storage_postgres.conformance import PostgresConformance


class TestPostgres(PostgresConformance):
    pass
