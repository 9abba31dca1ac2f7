"""Hands a session's turns to its storages, and remembers what could not be stored."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from caw_core.errors import PersistError

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.plugins import AgentPlugins, Sink
    from caw_core.trajectory import SessionInfo, Turn

log = logging.getLogger("caw.storage")


class Recorder:
    """The fan-out of one session: each sink alone, in order, none silenced by another.

    A turn that a sink refused is kept here until `flush` gets it through; a later state of the
    same turn takes its place.
    """

    def __init__(self, plugins: AgentPlugins) -> None:
        self._plugins = plugins
        self._sinks = plugins.sinks
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], tuple[Sink, Turn, int]] = {}
        self._pending_heads: dict[str, tuple[Sink, SessionInfo]] = {}

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return bool(self._sinks)

    @property
    def pending_turns(self) -> tuple[int, ...]:
        """The indices of the turns that some sink does not have yet."""
        return tuple(sorted({index for _, index in self._pending}))

    def record_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Give *turn* to every sink.

        Raises:
            PersistError: the turn is not running any more and some sink did not take it.
        """
        failures = [
            failure
            for sink in self._sinks
            if (failure := self._try_turn(sink, session, turn)) is not None
        ]
        if failures and turn.status != "running":
            raise self._error(f"turn {turn.index} was not stored everywhere", failures, turn)

    def record_head(self, session: SessionInfo) -> list[Exception]:
        """Give the head of the record to every sink; return what went wrong."""
        return [
            failure
            for sink in self._sinks
            if (failure := self._try_head(sink, session)) is not None
        ]

    def flush(self, session: SessionInfo) -> None:
        """Try again what failed before, oldest turn first.

        Raises:
            PersistError: something still cannot be stored; it is kept.
        """
        failures: list[Exception] = []
        last: Turn | None = None
        for (_, _), (sink, turn, _) in sorted(self._pending.items(), key=lambda item: item[0][1]):
            failure = self._try_turn(sink, session, turn)
            if failure is not None:
                failures.append(failure)
                last = turn
        for sink, head in list(self._pending_heads.values()):
            failure = self._try_head(sink, head)
            if failure is not None:
                failures.append(failure)
        if failures:
            raise self._error("some of the session is still not stored", failures, last)

    def _try_turn(self, sink: Sink, session: SessionInfo, turn: Turn) -> Exception | None:
        key = (sink.name, turn.index)
        attempt = self._pending.get(key, (sink, turn, 0))[2] + 1

        def store() -> None:
            self._plugins.persist_turn(sink, session, turn, attempt)

        failure = self._attempt(sink, session, f"turn {turn.index}", store)
        with self._lock:
            if failure is None:
                self._pending.pop(key, None)
            else:
                self._pending[key] = (sink, turn, attempt)
        return failure

    def _try_head(self, sink: Sink, session: SessionInfo) -> Exception | None:
        failure = self._attempt(
            sink,
            session,
            "its head",
            lambda: self._plugins.persist_session(sink, session),
        )
        with self._lock:
            if failure is None:
                self._pending_heads.pop(sink.name, None)
            else:
                self._pending_heads[sink.name] = (sink, session)
        return failure

    @staticmethod
    def _attempt(
        sink: Sink,
        session: SessionInfo,
        what: str,
        store: Callable[[], None],
    ) -> Exception | None:
        try:
            store()
        except Exception as error:  # noqa: BLE001 - a sink may fail in any way, none may stop the turn
            error.add_note(f"storage {sink.name!r}, session {session.session_id}, {what}")
            log.warning(
                "storage %r did not take %s of session %s: %s",
                sink.name,
                what,
                session.session_id,
                error,
            )
            return error
        return None

    @staticmethod
    def _error(message: str, failures: list[Exception], turn: Turn | None) -> PersistError:
        hint = "it is kept in memory, session.flush() tries again"
        error = PersistError(f"{message}; {hint}", failures)
        error.turn = turn
        return error
