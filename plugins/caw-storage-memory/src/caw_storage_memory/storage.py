"""The plugin: caw's storage hooks, answered from memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

from caw_core import hookimpl
from caw_core.errors import ConfigError
from caw_core.handles import check_session_id
from caw_core.listing import Place, matches
from caw_core.searching import snippet_of, text_of, words_of
from caw_core.storage import (
    SearchHit,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    SessionSummary,
    TurnRange,
    place_of,
)
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_storage_memory.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core.storage import LiveEvent


class MemoryStorage:
    """Keeps sessions for as long as somebody holds its records; safe to use from several threads.

    Every method that takes a session or an id raises `caw_core.errors.ResumeHandleError` for an
    id that could lead elsewhere in another storage.

    Args:
        records: those of another storage, to share them; default none.
    """

    caw_api = "1.0"

    def __init__(self, records: Records | None = None) -> None:
        self._records = records or Records()
        self._tokens: dict[str, int] = {}

    # ---------------------------------------------------------------------------------- writing

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Keep a turn, and the head that comes with it."""
        with self._records.mutex:
            self._check(session.session_id)
            self._records.write(session).put(turn)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Keep the head of a record."""
        with self._records.mutex:
            self._check(session.session_id)
            self._records.write(session)
        if session.completed_at:
            self._records.events.end(session.session_id)

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Begin a record with the texts of another's turns."""
        check_session_id(parent_id)
        with self._records.mutex:
            self._check(session.session_id)
            parent = self._records.by_id.get(parent_id)
            if parent is None:
                return False
            self._records.write(session).share(parent, stop)
            return True

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        """Forget a session; raise `SessionBusyError` while somebody writes it."""
        with self._records.mutex:
            self._check(session_id)
            self._records.events.drop(session_id)
            return self._records.by_id.pop(session_id, None) is not None

    @hookimpl
    def lease_session(self, session_id: str) -> MemoryLease:
        """Take the right to write a session until it is released."""
        check_session_id(session_id)
        with self._records.mutex:
            token = self._tokens[session_id] = self._records.lease(session_id)
        return MemoryLease(self, session_id, token)

    def release(self, session_id: str, token: int) -> None:
        """Give a lease back; idempotent."""
        with self._records.mutex:
            if self._tokens.get(session_id) == token:
                del self._tokens[session_id]
            self._records.release(session_id, token)

    def _check(self, session_id: str) -> None:
        check_session_id(session_id)
        self._records.check(session_id, self._tokens.get(session_id))

    # ---------------------------------------------------------------------------------- reading

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        """Read a record, or some of its turns."""
        check_session_id(session_id)
        with self._records.mutex:
            record = self._records.by_id.get(session_id)
            if record is None:
                return None
            return Trajectory.of(record.info, tuple(record.read(turns or TurnRange())))

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """List sessions by the time of their last write."""
        after = Place.at(query.cursor) if query.cursor else None
        with self._records.mutex:
            # One more than wanted, to know whether there is another page.
            fitting = (pair for pair in self._newest(after) if matches(pair[1], query))
            found = list(itertools.islice(fitting, query.limit + 1))
        page = found[: query.limit]
        more = page[-1][0].cursor if len(found) > query.limit else ""
        return SessionPage(sessions=tuple(summary for _, summary in page), next_cursor=more)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        """Look through all records, those last written first; the cursor counts hits."""
        if query.cursor and not (query.cursor.isascii() and query.cursor.isdecimal()):
            msg = f"{query.cursor!r} is no cursor of a search; pass SearchPage.next_cursor"
            raise ConfigError(msg)
        first = int(query.cursor or 0)
        stop = first + query.limit
        with self._records.mutex:
            hits = list(itertools.islice(self._hits(query), first, stop + 1))
        more = str(stop) if len(hits) > query.limit else ""
        return SearchPage(hits=tuple(hits[: query.limit]), next_cursor=more)

    def _newest(self, after: Place | None) -> Iterator[tuple[Place, SessionSummary]]:
        for session_id, record in reversed(self._records.by_id.items()):
            place = Place(record.updated, session_id)
            if after is None or place < after:
                yield place, self._records.summary(session_id, record)

    def _hits(self, query: SearchQuery) -> Iterator[SearchHit]:
        words = words_of(query.text)
        for record in reversed(self._records.by_id.values()):
            info = record.info
            for turn in record.read(TurnRange()) if query.provider in ("", info.provider) else ():
                snippet = snippet_of(text_of(turn), words)
                if snippet is not None:
                    yield SearchHit(info=info, turn=turn.index, snippet=snippet)

    # -------------------------------------------------------------------------------- following

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Keep the last events of a session, for those who follow it."""
        self._records.events.publish(check_session_id(session_id), events)

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        """Read them, from any thread."""
        place = place_of(after)
        return self._records.events.read(check_session_id(session_id), place, limit, wait_seconds)


@attrs.frozen
class MemoryLease:
    """A right to write; see `caw_core.storage.Lease`."""

    _storage: MemoryStorage
    _session_id: str
    token: int

    def release(self) -> None:
        """Give it back; idempotent."""
        self._storage.release(self._session_id, self.token)
