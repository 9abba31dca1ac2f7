"""A storage around another one; a subclass says what is changed on the way in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from caw_core import SessionInfo, Trajectory, Turn, hookimpl
from caw_core.handles import check_session_id
from caw_core.record_plugins import RecordPlugins
from caw_core.storage import (
    Lease,
    LiveEvent,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    SessionSummary,
    TurnRange,
)
from caw_core.store import Store


class StorageWrapper:
    """Passes every hook on to the storage inside.

    Args:
        inner: a storage plugin.
    """

    caw_api = "1.0"

    def __init__(self, inner: object) -> None:
        self._inner = RecordPlugins([(type(inner).__name__, inner)])
        (self._sink,) = self._inner.storages
        self._name = repr(inner)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    @property
    def inner_store(self) -> Store:
        """The storage inside, as it holds things."""
        return Store.of(self._inner)

    # ---------------------------------------------------------------- what a subclass may change

    def head_in(self, session: SessionInfo) -> SessionInfo:
        """Return the head as it is to be stored."""
        return session

    def turn_in(self, session: SessionInfo, turn: Turn) -> Turn:
        """Return a turn as it is to be stored."""
        del session
        return turn

    def event_in(self, session_id: str, event: LiveEvent) -> LiveEvent:
        """Return an event as it is to be published."""
        del session_id
        return event

    def record_out(self, stored: Trajectory) -> Trajectory:
        """Return a record as it was before `head_in` and `turn_in`."""
        return stored

    def summary_out(self, stored: SessionSummary) -> SessionSummary:
        """Return a summary as it would have been."""
        return stored

    def event_out(self, session_id: str, stored: LiveEvent) -> LiveEvent:
        """Return an event as it was before `event_in`."""
        del session_id
        return stored

    # --------------------------------------------------------------------------------- the hooks

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int) -> None:
        """Hand the turn on, as `turn_in` and `head_in` make it."""
        check_session_id(session.session_id)
        inside = self.turn_in(session, turn)
        self._inner.persist_turn(self._sink, self.head_in(session), inside, attempt)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Hand the head on, as `head_in` makes it."""
        check_session_id(session.session_id)
        self._inner.persist_session(self._sink, self.head_in(session))

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        """Read the record, as `record_out` makes it."""
        stored = self._inner.load_trajectory(session_id, turns)
        return None if stored is None else self.record_out(stored)

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage | None:
        """List what is inside, as `summary_out` makes it."""
        page = self._inner.list_sessions(query)
        if page is None:
            return None
        return attrs.evolve(page, sessions=tuple(map(self.summary_out, page.sessions)))

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage | None:
        """Have the storage inside search."""
        return self._inner.search_sessions(query)

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Have the storage inside share turns."""
        check_session_id(session.session_id)
        return self._inner.share_turns(self._sink, self.head_in(session), parent_id, stop)

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Hand events on, as `event_in` makes them."""
        check_session_id(session_id)
        changed = [self.event_in(session_id, event) for event in events]
        self._inner.publish_events(session_id, changed)

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> Sequence[LiveEvent] | None:
        """Read events, as `event_out` makes them."""
        found = self._inner.read_events(session_id, after, limit, wait_seconds)
        return None if found is None else [self.event_out(session_id, event) for event in found]

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        """Have the storage inside delete."""
        return self._inner.delete_session(session_id)

    @hookimpl
    def lease_session(self, session_id: str) -> Lease | None:
        """Take the lease of the storage inside."""
        leases = self._inner.lease_session(session_id)
        return leases[0] if leases else None

    @hookimpl
    def session_dir(self, session_id: str) -> Path | None:
        """Name the folder of the storage inside."""
        return self._inner.session_dir(session_id)
