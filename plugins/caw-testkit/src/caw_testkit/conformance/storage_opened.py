"""A storage as the core calls it: through the hooks, by names, with what the core does around."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors import CawError
from caw_core.record_plugins import RecordPlugins
from caw_testkit.conformance.base import broken
from caw_testkit.conformance.differences import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from caw_core.storage import (
        Lease,
        LiveEvent,
        SearchPage,
        SearchQuery,
        SessionPage,
        SessionQuery,
        TurnRange,
    )
    from caw_core.trajectory import SessionInfo, Trajectory, Turn


class OpenedStorage:
    """One opened storage plugin.

    Args:
        plugin: what the author's ``make_storage`` gave.
        leasing: take a session's lease before the first write to it, as the core does. Only where
            the storage declares leases.
    """

    def __init__(self, plugin: object, *, leasing: bool) -> None:
        self.plugin = plugin
        self._leasing = leasing
        self._leases: dict[str, Lease] = {}
        self._records = RecordPlugins([("storage", plugin)])
        (self._sink,) = self._records.storages

    # ---------------------------------------------------------------------- as a session writes

    def write(self, session: SessionInfo, *turns: Turn, attempt: int = 1) -> None:
        """Persist turns one after the other, under the session's lease."""
        self._lease_once(session.session_id)
        for turn in turns:
            self.persist_turn(session, turn, attempt)

    def write_head(self, session: SessionInfo) -> None:
        """Persist the head of a record, under the session's lease."""
        self._lease_once(session.session_id)
        self.persist_session(session)

    def publish(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Publish events of a running session, under its lease."""
        self._lease_once(session_id)
        self.publish_events(session_id, events)

    def fork(self, session: SessionInfo, parent_id: str, stop: int) -> None:
        """Begin a record with another's turns, under the new session's lease."""
        self._lease_once(session.session_id)
        if not self.share_turns(session, parent_id, stop):
            broken(
                f"share_turns of {stop} turns of {parent_id!r} did not return True.",
                "Return True once the new record has them.",
            )

    def release(self) -> None:
        """Give back every lease that was taken for writing."""
        while self._leases:
            self._leases.popitem()[1].release()

    def _lease_once(self, session_id: str) -> None:
        if self._leasing and session_id not in self._leases:
            self._leases[session_id] = self.lease(session_id)

    # --------------------------------------------------------------------------- the bare hooks

    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int = 1) -> None:
        """Call the hook."""
        self._records.persist_turn(self._sink, session, turn, attempt)

    def persist_session(self, session: SessionInfo) -> None:
        """Call the hook."""
        self._records.persist_session(self._sink, session)

    def load(self, session_id: str) -> Trajectory | None:
        """Call ``load_trajectory``."""
        return self._records.load_trajectory(session_id)

    def load_range(self, session_id: str, turns: TurnRange) -> Trajectory | None:
        """Call ``load_trajectory`` for some turns; what it returns is not cut by the core."""
        found: Trajectory | None = self._sink.call(
            "load_trajectory", session_id=session_id, turns=turns
        )
        return found

    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """Call the hook; a storage that declares it may not answer None."""
        page = self._records.list_sessions(query)
        if page is None:
            broken("list_sessions returned None.", "Return a SessionPage, empty if need be.")
        return page

    def search(self, query: SearchQuery) -> SearchPage:
        """Call ``search_sessions``; a storage that declares it may not answer None."""
        page = self._records.search_sessions(query)
        if page is None:
            broken("search_sessions returned None.", "Return a SearchPage, empty if need be.")
        return page

    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Call the hook."""
        return self._records.share_turns(self._sink, session, parent_id, stop)

    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Call the hook."""
        self._records.publish_events(session_id, events)

    def read_events(
        self,
        session_id: str,
        after: str = "",
        limit: int = 1_000_000,
        wait_seconds: float = 0,
    ) -> list[LiveEvent]:
        """Call the hook; a storage that declares it may not answer None."""
        events = self._records.read_events(session_id, after, limit, wait_seconds)
        if events is None:
            broken("read_events returned None.", "Return the events, an empty list if need be.")
        return list(events)

    def delete(self, session_id: str) -> bool:
        """Call ``delete_session``."""
        return self._records.delete_session(session_id)

    def lease(self, session_id: str) -> Lease:
        """Call ``lease_session``; a storage that declares it may not answer None."""
        leases = self._records.lease_session(session_id)
        if not leases:
            broken("lease_session returned no lease.", "Return an object with token and release().")
        return leases[0]

    def session_dir(self, session_id: str) -> Path:
        """Call the hook; a storage that declares it may not answer None."""
        folder = self._records.session_dir(session_id)
        if folder is None:
            broken("session_dir returned None.", "Return the folder, whether it is there or not.")
        return folder

    # ------------------------------------------------------------------------------- the checks

    def record(self, session_id: str) -> Trajectory:
        """Return a record that must be there."""
        record = self.load(session_id)
        if record is None:
            broken(
                f"load_trajectory({session_id!r}) returned None for a session that was stored.",
                "Return the record of every session for which persist_turn or persist_session has "
                "returned; None only where there was certainly none.",
            )
        return record

    def must_hold(self, expected: Trajectory, *, after: str) -> None:
        """Fail unless the record is exactly *expected*.

        Args:
            expected: the whole record.
            after: what has been done, for the message.
        """
        found = differences(expected.to_dict(), self.record(expected.session_id).to_dict())
        if found:
            broken(
                f"After {after} the record is another one:\n" + "\n".join(found),
                "Keep the documents that caw_core.serialize makes, whole, and read them with it; "
                "what comes later for the same (session_id, turn.index) takes the place of what "
                "was there.",
            )

    def must_have_turns(self, session_id: str, turns: Iterable[Turn], *, after: str) -> None:
        """Fail unless the record has exactly these turns."""
        stored = self.record(session_id)
        wanted = [turn.to_dict() for turn in turns]
        found = differences(wanted, [turn.to_dict() for turn in stored.turns], "$.turns")
        if found:
            broken(
                f"After {after} the turns are not those that were stored:\n" + "\n".join(found),
                "Key each turn by (session_id, turn.index), index as a number, and return them "
                "in the order of their index.",
            )


def answer_of(storage: OpenedStorage, session_id: str) -> CawError | Trajectory | None:
    """Return what `load` says of a session: a record, None, or the error that caw has for it."""
    try:
        return storage.load(session_id)
    except CawError as error:
        return error
