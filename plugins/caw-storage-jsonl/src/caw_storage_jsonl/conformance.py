"""What proves this storage: ``caw plugins --check jsonl`` runs it. It needs caw-testkit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from caw_storage_jsonl.lease import LOCK_NAME
from caw_storage_jsonl.storage import JsonlStorage
from caw_testkit.conformance import StorageConformance

if TYPE_CHECKING:
    from pathlib import Path


class JsonlConformance(StorageConformance):
    """The storage with all that it can do."""

    url = "jsonl://{folder}"
    capabilities = frozenset(
        {
            "delete_session",
            "durable",
            "fencing",
            "lease_session",
            "list_sessions",
            "persist_session",
            "publish_events",
            "read_events",
            "search_sessions",
            "session_dir",
            "share_turns",
            "turn_range",
        },
    )

    def take_lease_away(self, folder: Path, session_id: str) -> None:
        """Remove the lock's file, as a person does who takes it for a leftover."""
        if sys.platform == "win32":
            pytest.skip("Windows lets nobody remove a file that is open")
        (JsonlStorage(folder).session_dir(session_id) / LOCK_NAME).unlink()
