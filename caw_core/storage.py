"""What a storage is to the core: the questions it answers besides keeping turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from caw_core.trajectory import SessionInfo


@attrs.frozen(kw_only=True)
class SessionQuery:
    """Which sessions to list, newest first.

    Attributes:
        limit: how many at most.
        cursor: the previous page's `SessionPage.next_cursor`; ``""`` for the first page.
        provider: only sessions of that provider; ``""`` for all.
    """

    limit: int = 50
    cursor: str = ""
    provider: str = ""


@attrs.frozen(kw_only=True)
class SessionSummary:
    """A session as a list shows it, without its turns.

    Attributes:
        info: the head of its record.
        num_turns: how many turns are stored.
        title: the beginning of the first prompt, on one line.
        updated_at: when it was last written, ISO 8601 with offset, UTC.
    """

    info: SessionInfo
    num_turns: int = 0
    title: str = ""
    updated_at: str = ""


@attrs.frozen(kw_only=True)
class SessionPage:
    """One page of sessions; ``next_cursor`` is ``""`` on the last one.

    ``unreadable`` names sessions that exist and could not be read, with the reason: a list must
    not lose them in silence.
    """

    sessions: tuple[SessionSummary, ...] = ()
    next_cursor: str = ""
    unreadable: tuple[tuple[str, str], ...] = ()


class Lease(Protocol):
    """The right to write a session, held by one writer at a time."""

    @property
    def token(self) -> int:
        """Grows with each lease of the session, so that a late write of an older one shows."""

    def release(self) -> None:
        """Give the right back; idempotent."""


StorageFactory = Callable[[str], object]
"""An entry point of ``caw.storages``: takes the storage URL, returns the plugin."""
