"""What proves this storage: ``caw plugins --check sqlite`` runs it. It needs caw-testkit."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from caw_testkit.conformance import StorageConformance

if TYPE_CHECKING:
    from pathlib import Path

FILE = "sessions.db"


class SqliteConformance(StorageConformance):
    """The storage with all that it can do."""

    url = "sqlite:///{folder}/" + FILE
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

    def let_lease_run_out(self, folder: Path, session_id: str) -> None:
        """Let the row say that its time is over."""
        with contextlib.closing(sqlite3.connect(folder / FILE, timeout=60)) as database, database:
            database.execute("UPDATE leases SET until = 0 WHERE session_id = ?", (session_id,))
