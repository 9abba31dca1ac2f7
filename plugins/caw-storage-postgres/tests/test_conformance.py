"""The suite that every storage is proven with."""

from __future__ import annotations

from pathlib import Path

from caw_storage_postgres.conformance import PostgresConformance

from .kept_store import FILE, put_back


class TestPostgres(PostgresConformance):
    golden_stores = Path(__file__).parent / "golden"

    def make_storage(self, folder: Path) -> str:
        """Open the folder's schema; what a release has left in the folder is put there first."""
        url = super().make_storage(folder)
        kept = folder / FILE
        if kept.exists():
            put_back(kept.read_text("utf-8"), folder.name, url.partition("schema=")[0])
            kept.unlink()
        return url
