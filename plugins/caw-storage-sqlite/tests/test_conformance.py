"""The suite that every storage is proven with."""

from __future__ import annotations

from pathlib import Path

from caw_storage_sqlite.conformance import SqliteConformance


class TestSqlite(SqliteConformance):
    golden_stores = Path(__file__).parent / "golden"
