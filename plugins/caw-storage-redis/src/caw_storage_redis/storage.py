"""The plugin: caw's storage hooks, answered with Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.handles import check_session_id
from caw_core.storage import SearchPage, SessionPage, TurnRange
from caw_storage_redis import reading
from caw_storage_redis.leases import Leases
from caw_storage_redis.live import LiveEvents
from caw_storage_redis.server import Server
from caw_storage_redis.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.storage import LiveEvent, SearchQuery, SessionQuery
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_storage_redis.leases import RedisLease
    from caw_storage_redis.url import Settings


class RedisStorage:
    """Keeps sessions below a prefix of a Redis or Valkey server.

    Safe to use from several threads, and in a fork's child. Nothing is connected before something
    is asked. Every method that takes a session or an id raises
    `caw_core.errors.ResumeHandleError` for an id that is none, and `caw_core.errors.StorageError`
    where the server is down, hangs or refuses.
    """

    caw_api = "1.0"

    def __init__(self, settings: Settings) -> None:
        self._server = Server(settings)
        self._leases = Leases(self._server)
        self._writer = Writer(self._server, self._leases)
        self._events = LiveEvents(self._server, self._leases)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.settings.place})"

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Store *turn*; it is as safe as the server's ``appendfsync`` says when this returns."""
        check_session_id(session.session_id)
        self._writer.write_turn(session, turn)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Store the head."""
        check_session_id(session.session_id)
        self._writer.write_head(session)

    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None = None) -> Trajectory | None:
        """Read a record, or a part of it."""
        check_session_id(session_id)
        return reading.load(self._server, session_id, turns or TurnRange())

    @hookimpl
    def list_sessions(self, query: SessionQuery) -> SessionPage:
        """List sessions by the time of their last write."""
        return reading.list_sessions(self._server, query)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        """Find turns by reading all, those of the newest sessions first."""
        return reading.search(self._server, query)

    @hookimpl
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Let a session begin with another's turns, by pointing at them."""
        check_session_id(session.session_id)
        check_session_id(parent_id)
        return self._writer.share(session, parent_id, stop)

    @hookimpl
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Keep events for a while; who waits for them gets them at once."""
        check_session_id(session_id)
        self._events.publish(session_id, events)

    @hookimpl
    def read_events(
        self, session_id: str, after: str, limit: int, wait_seconds: float
    ) -> list[LiveEvent]:
        """Read events, waiting for the first one."""
        check_session_id(session_id)
        return self._events.read(session_id, after, limit, wait_seconds)

    @hookimpl
    def delete_session(self, session_id: str) -> bool:
        """Delete a record; turns that forks began with stay theirs."""
        check_session_id(session_id)
        return self._writer.delete(session_id)

    @hookimpl
    def lease_session(self, session_id: str) -> RedisLease:
        """Take the lease; it ends by the server's clock if it is not renewed."""
        check_session_id(session_id)
        return self._leases.take(session_id)

    def close(self) -> None:
        """Give all connections back, for good; idempotent."""
        self._server.close()
