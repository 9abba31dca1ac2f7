"""A storage that forgets sessions some time after they were last written."""

from __future__ import annotations

import logging
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from caw_core import Trajectory, hookimpl
from caw_core.errors import CawError, ConfigError
from caw_core.storage import (
    Lease,
    SearchPage,
    SearchQuery,
    SessionPage,
    SessionQuery,
    TurnRange,
)
from caw_storage_wrappers.wrapper import StorageWrapper

log = logging.getLogger("caw.storage")

LONGEST_PAUSE: Final = 3600.0
"""How long at most old sessions lie about before they are deleted, in seconds, while the storage is
in use. They are not shown meanwhile."""

_TIME = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def length_of_time(text: str) -> timedelta:
    """Return what ``90s``, ``15m``, ``12h``, ``30d`` or ``2w`` means.

    Raises:
        ConfigError: it is none of these, or nothing.
    """
    match = _TIME.fullmatch(text)
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not length:
        msg = f"ttl={text!r} is no length of time: write ttl=12h, ttl=30d or ttl=2w"
        raise ConfigError(msg)
    return length


class ExpiringStorage(StorageWrapper):
    """Shows no session that was last written longer ago than *ttl*, and deletes such in time.

    One that somebody has open stays until it is closed.

    Args:
        inner: a storage plugin that can list.
        ttl: how long sessions are kept.
    """

    def __init__(self, inner: object, ttl: timedelta) -> None:
        super().__init__(inner)
        self._ttl = ttl
        self._pause = min(ttl.total_seconds() / 10, LONGEST_PAUSE)
        self._pruned = -self._pause
        self._mutex = threading.Lock()

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        """Read a record that has not run out."""
        self._prune()
        stored = self._inner.load_trajectory(session_id, turns)
        if stored is None:
            return None
        last = self._inner.load_trajectory(session_id, TurnRange(last=1)) or stored
        return None if _last_moment(last) < datetime.now(UTC) - self._ttl else stored

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage | None:
        """List sessions that have not run out."""
        self._prune()
        since = datetime.now(UTC) - self._ttl
        asked = max(since, query.since) if query.since else since
        return super().list_sessions(attrs.evolve(query, since=asked))

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage | None:
        """Search, after what has run out was deleted."""
        self._prune()
        return super().search_sessions(query)

    @hookimpl
    def lease_session(self, session_id: str) -> Lease | None:
        """Take the lease; somebody uses the storage, so what has run out is deleted."""
        self._prune()
        return super().lease_session(session_id)

    def _prune(self) -> None:
        with self._mutex:
            if time.monotonic() - self._pruned < self._pause:
                return
            self._pruned = time.monotonic()
        try:
            report = self.inner_store.prune(older_than=self._ttl)
        except CawError as error:
            log.warning("old sessions could not be deleted: %s", error)
        else:
            if report.deleted:
                log.info("%d old sessions were deleted", len(report.deleted))


def _last_moment(record: Trajectory) -> datetime:
    """Return when something last happened in a session, as far as its record tells."""
    turns = record.turns[-1:]
    moments = [record.created_at, record.completed_at, *(turn.started_at for turn in turns)]
    known = [datetime.fromisoformat(moment) for moment in moments if moment]
    ends = [
        datetime.fromisoformat(turn.started_at) + timedelta(milliseconds=turn.duration_ms)
        for turn in turns
        if turn.started_at
    ]
    # A record without any time is never too old; the list knows when it was written.
    return max([*known, *ends], default=datetime.max.replace(tzinfo=UTC))
