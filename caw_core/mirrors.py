"""Storages that hold a copy of the record and may lag behind."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from caw_core.chores import Chores

if TYPE_CHECKING:
    from caw_core.plugins import AgentPlugins
    from caw_core.record_plugins import Sink
    from caw_core.trajectory import SessionInfo, Turn

log = logging.getLogger("caw.storage")

FIRST_PAUSE: Final = 1.0
"""How long after a mirror failed it is tried again, in seconds; then twice as long, and so on."""

LONGEST_PAUSE: Final = 60.0

_mirroring = Chores("caw-mirrors")


class _Lag:
    """What one mirror does not have yet."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.head: SessionInfo | None = None
        self.turns: dict[int, Turn] = {}

    def __bool__(self) -> bool:
        return self.head is not None or bool(self.turns)


class Mirrors:
    """The mirrors of one session: written behind the turns, which never wait for them.

    They get turns that have ended, oldest first, and what they do not take is tried again.

    Args:
        plugins: the session's plugins.
    """

    def __init__(self, plugins: AgentPlugins) -> None:
        self._plugins = plugins
        self._lags = [_Lag(sink) for sink in plugins.mirrors]
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._session: SessionInfo | None = None
        self._pause = FIRST_PAUSE

    @property
    def pending_turns(self) -> set[int]:
        """The indices of the turns that some mirror does not have yet."""
        with self._lock:
            return {index for lag in self._lags for index in lag.turns}

    def put(self, session: SessionInfo, *turns: Turn) -> None:
        """Have the head of the record, and turns that have ended, written soon."""
        if not self._lags:
            return
        with self._lock:
            self._session = session
            for lag in self._lags:
                lag.head = session
                lag.turns |= {turn.index: turn for turn in turns}
        _mirroring.add(self, 0)

    def work(self) -> float | None:
        """Write what is missing; see `caw_core.chores.Worker`."""
        if not self.flush():
            self._pause = FIRST_PAUSE
            return None
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause

    def flush(self) -> list[Exception]:
        """Write what is missing, now; return what went wrong."""
        with self._writing:
            return [error for lag in self._lags if (error := self._catch_up(lag)) is not None]

    def close(self) -> None:
        """Write what is missing, and say what a mirror still lacks then; nothing more comes."""
        _mirroring.remove(self)
        self.flush()
        for lag in self._lags:
            if lag and self._session is not None:
                log.error(
                    "mirror %r lacks %d turns of session %s; 'caw sessions repair' brings them",
                    lag.sink.name,
                    len(lag.turns),
                    self._session.session_id,
                )

    def _catch_up(self, lag: _Lag) -> Exception | None:
        with self._lock:
            head, turns, session = lag.head, dict(lag.turns), self._session
        if session is None:
            return None
        try:
            for index in sorted(turns):
                self._plugins.persist_turn(lag.sink, session, turns[index], 1)
                with self._lock:
                    if lag.turns.get(index) is turns[index]:
                        del lag.turns[index]
            if head is not None:
                # Last, since some storages write more when a session has ended.
                self._plugins.persist_session(lag.sink, head)
                with self._lock:
                    lag.head = None if lag.head is head else lag.head
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            log.warning("mirror %r of session %s: %s", lag.sink.name, session.session_id, error)
            return error
        return None
