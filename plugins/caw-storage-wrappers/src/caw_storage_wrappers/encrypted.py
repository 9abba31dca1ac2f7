"""A storage in which everything but ids, times and statuses is encrypted."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import attrs

from caw_core import SessionInfo, Trajectory, Turn, hookimpl
from caw_core.errors import TrajectoryError, TrajectoryFormatError
from caw_core.events import VendorEvent
from caw_core.handles import check_session_id
from caw_core.listing import matches, title_of
from caw_core.record_plugins import RecordPlugins
from caw_core.searching import search_records
from caw_core.serialize import (
    event_from_dict,
    event_to_dict,
    session_info_from_dict,
    session_info_to_dict,
    turn_from_dict,
    turn_to_dict,
)
from caw_core.storage import (
    LiveEvent,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    SessionSummary,
    TurnRange,
)
from caw_core.store import Store
from caw_storage_wrappers.keys import KeyRing
from caw_storage_wrappers.wrapper import StorageWrapper

SEALED: Final = "caw_sealed"
"""The member under which a sealed value's document is stored."""

OWNER: Final = "caw_sealed_for"
"""The session that a turn was sealed for; a fork may share it."""

MOST_TITLES: Final = 1000
"""How many sessions' titles are remembered while they are written."""


class EncryptedStorage(StorageWrapper):
    """Encrypts turns, heads and live events with AES-256-GCM.

    What stays in clear is what a storage needs to keep order: session ids, indices, statuses,
    when things happened, and the provider's name. Lists filter by the rest after decrypting, and a
    search reads every record. ``raw_output`` is not kept.

    Args:
        inner: a storage plugin.
        keys: the keys.
    """

    def __init__(self, inner: object, keys: KeyRing) -> None:
        super().__init__(inner)
        self._keys = keys
        self._titles: dict[str, str] = {}
        self._mutex = threading.Lock()

    # ----------------------------------------------------------------------------------- turns

    def turn_in(self, session: SessionInfo, turn: Turn) -> Turn:
        """Seal the turn; what is left of it says when and how it went."""
        if turn.index == 0:
            self._remember(session.session_id, title_of(turn.input))
        context = _turn_context(session.session_id, turn.index)
        return Turn(
            index=turn.index,
            input="",
            status=turn.status,
            duration_ms=turn.duration_ms,
            started_at=turn.started_at,
            extra={SEALED: self._seal(turn_to_dict(turn), context), OWNER: session.session_id},
        )

    def _turn_out(self, stored: Turn) -> Turn:
        envelope = stored.extra.get(SEALED)
        if not isinstance(envelope, str):
            # It was written before there was encryption.
            return stored
        context = _turn_context(str(stored.extra.get(OWNER)), stored.index)
        turn = turn_from_dict(self._open(envelope, context))
        # The storage knows what has become of it since, as that its writer died.
        return attrs.evolve(turn, status=stored.status, error=stored.error or turn.error)

    # ----------------------------------------------------------------------------------- heads

    def head_in(self, session: SessionInfo) -> SessionInfo:
        """Seal the head, together with the title, which is no part of it otherwise."""
        document = {"head": session_info_to_dict(session), "title": self._title(session.session_id)}
        return SessionInfo(
            session_id=session.session_id,
            provider=session.provider,
            created_at=session.created_at,
            completed_at=session.completed_at,
            extra={SEALED: self._seal(document, _head_context(session.session_id))},
        )

    def _head_out(self, stored: SessionInfo) -> tuple[SessionInfo, str | None]:
        """Return the head and the title; None for a title that the storage itself knows."""
        envelope = stored.extra.get(SEALED)
        if not isinstance(envelope, str):
            return stored, None
        document = self._open(envelope, _head_context(stored.session_id))
        title = document.get("title")
        return session_info_from_dict(_mapping(document.get("head"))), str(title or "")

    def record_out(self, stored: Trajectory) -> Trajectory:
        """Open the head and every turn."""
        head, _ = self._head_out(stored)
        return Trajectory.of(_bare(head), tuple(map(self._turn_out, stored.turns)))

    def summary_out(self, stored: SessionSummary) -> SessionSummary:
        """Open the head, and give the title back."""
        head, title = self._head_out(stored.info)
        known = stored.title if title is None else title
        return attrs.evolve(stored, info=_bare(head), title=known)

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Have the storage inside share turns; with the first one comes the title."""
        check_session_id(session.session_id)
        self._remember(session.session_id, self._title(parent_id))
        return super().share_turns(session, parent_id, stop)

    def _title(self, session_id: str) -> str:
        with self._mutex:
            if session_id in self._titles:
                return self._titles[session_id]
        stored = self._inner.load_trajectory(session_id, TurnRange(last=0))
        title = (self._head_out(stored)[1] or "") if stored else ""
        self._remember(session_id, title)
        return title

    def _remember(self, session_id: str, title: str) -> None:
        with self._mutex:
            while len(self._titles) >= MOST_TITLES:
                del self._titles[next(iter(self._titles))]
            self._titles[session_id] = title

    # ---------------------------------------------------------------------------------- events

    def event_in(self, session_id: str, event: LiveEvent) -> LiveEvent:
        """Seal the event."""
        sealed = self._seal(event_to_dict(event.event), _event_context(session_id, event))
        return attrs.evolve(event, event=VendorEvent(kind=SEALED, raw={SEALED: sealed}))

    def event_out(self, session_id: str, stored: LiveEvent) -> LiveEvent:
        """Open the event."""
        event = stored.event
        if not isinstance(event, VendorEvent) or event.kind != SEALED:
            return stored
        envelope = str(_mapping(event.raw).get(SEALED))
        document = self._open(envelope, _event_context(session_id, stored))
        return attrs.evolve(stored, event=event_from_dict(document))

    # ----------------------------------------------------------------------------------- lists

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage | None:
        """List what is inside; what only the sealed head tells is looked at here."""
        inside = attrs.evolve(query, cwd="", metadata={}, tags=())
        found: list[SessionSummary] = []
        unreadable: list[tuple[str, str]] = []
        while True:
            page = self._inner.list_sessions(attrs.evolve(inside, limit=query.limit - len(found)))
            if page is None:
                return None
            unreadable += page.unreadable
            for stored in page.sessions:
                try:
                    summary = self.summary_out(stored)
                except TrajectoryError as error:
                    unreadable.append((stored.info.session_id, str(error)))
                    continue
                if matches(summary, query):
                    found.append(summary)
            if len(found) == query.limit or not page.next_cursor:
                return SessionPage(
                    sessions=tuple(found),
                    next_cursor=page.next_cursor,
                    unreadable=tuple(unreadable),
                )
            inside = attrs.evolve(inside, cursor=page.next_cursor)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        """Search by reading one record after the other: inside nothing can be read."""
        return search_records(Store.of(RecordPlugins([("encrypted", self)])), query)

    # --------------------------------------------------------------------------------- rotation

    def rotate(self, session_id: str) -> bool:
        """Seal a session anew that another key than the current one had sealed.

        Args:
            session_id: the session.

        Returns:
            Whether there was anything to do.

        Raises:
            SessionBusyError: somebody has it open.
            ConfigError, TrajectoryError: no key here opens it.
        """
        with self.inner_store.leased(session_id):
            stored = self._inner.load_trajectory(session_id)
            if stored is None:
                return False
            # Opened in any case: another key may have the current one's id.
            record = self.record_out(stored)
            if not self._is_of_older_key(stored):
                return False
            # The title is in the head, which is about to be written.
            self._remember(session_id, self._head_out(stored)[1] or _first_title(stored))
            for turn in record.turns:
                self.persist_turn(record.info, turn, 1)
            self.persist_session(record.info)
        return True

    def _is_of_older_key(self, stored: Trajectory) -> bool:
        sealed = [stored.extra.get(SEALED), *(turn.extra.get(SEALED) for turn in stored.turns)]
        return any(
            not isinstance(each, str) or self._keys.key_of(each) != self._keys.current
            for each in sealed
        )

    def _seal(self, document: Any, context: str) -> str:
        return self._keys.seal(json.dumps(document).encode(), context)

    def _open(self, envelope: str, context: str) -> dict[str, Any]:
        return _mapping(json.loads(self._keys.open(envelope, context)))


def _first_title(stored: Trajectory) -> str:
    return title_of(stored.turns[0].input) if stored.turns else ""


def _bare(head: SessionInfo) -> SessionInfo:
    return head.info if isinstance(head, Trajectory) else head


def _mapping(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    problem = "what was sealed is no object @ $"
    raise TrajectoryFormatError([problem])


def _turn_context(session_id: str, index: int) -> str:
    return f"turn {session_id} {index}"


def _head_context(session_id: str) -> str:
    return f"head {session_id}"


def _event_context(session_id: str, event: LiveEvent) -> str:
    return f"event {session_id} {event.turn} {event.number}"
