"""What proves this storage: ``caw plugins --check memory`` runs it. It needs caw-testkit."""

from __future__ import annotations

from caw_testkit.conformance import StorageConformance


class MemoryConformance(StorageConformance):
    """The storage with all that it can do."""

    url = "memory://{folder}"
    capabilities = frozenset(
        {
            "delete_session",
            "lease_session",
            "list_sessions",
            "persist_session",
            "publish_events",
            "read_events",
            "search_sessions",
            "share_turns",
            "turn_range",
        },
    )
