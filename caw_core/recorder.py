"""Hands a session's turns to its storages, and remembers what could not be stored."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import PersistError
from caw_core.mirrors import Mirrors
from caw_core.storage_retry import ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caw_core.blocks import Block
    from caw_core.plugins import AgentPlugins
    from caw_core.record_plugins import Sink
    from caw_core.redaction import Redactor
    from caw_core.trajectory import SessionInfo, Turn

log = logging.getLogger("caw.storage")


class Recorder:
    """The fan-out of one session: each sink alone, in order, none silenced by another.

    A turn that a sink refused is kept here until `flush` gets it through; a later state of the
    same turn takes its place.

    Args:
        plugins: the session's storages and observers.
        redactor: takes the secrets out of what they are given.
    """

    def __init__(self, plugins: AgentPlugins, redactor: Redactor) -> None:
        self._plugins = plugins
        self._redactor = redactor
        self._redacted: list[tuple[Block, Block]] = []
        self._sinks = plugins.sinks
        self._mirrors = Mirrors(plugins)
        # Held while a sink works, so that no older state is written after a newer one.
        self._lock = threading.RLock()
        self._pending: dict[tuple[Sink, int], tuple[Turn, int]] = {}
        self._pending_heads: dict[Sink, SessionInfo] = {}

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return bool(self._sinks or self._plugins.mirrors)

    @property
    def pending_turns(self) -> tuple[int, ...]:
        """The indices of the turns that some sink does not have yet."""
        with self._lock:
            behind = self._mirrors.pending_turns
            return tuple(sorted({index for _, index in self._pending} | behind))

    def record_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Give *turn* to every sink.

        Raises:
            PersistError: the turn is not running any more and some sink did not take it.
        """
        with self._lock:
            turn = self._without_secrets(turn)
            failures = _some(self._try_in_order(sink, session, turn) for sink in self._sinks)
        if turn.status == "running":
            return
        self._mirrors.put(session, turn)
        if failures:
            raise self._error(f"turn {turn.index} was not stored everywhere", failures, turn)

    def record_history(
        self,
        session: SessionInfo,
        turns: Sequence[Turn],
        parent: Recorder | None = None,
        parent_id: str = "",
    ) -> None:
        """Give a session that begins with *turns* its history.

        Args:
            session: the head of the new record.
            turns: what it begins with; all of them have ended.
            parent: the recorder of the session whose turns they are, where there is one.
            parent_id: that session's id.

        Raises:
            PersistError: some sink did not take it.
        """
        stop = turns[-1].index + 1 if turns else 0
        with self._lock:
            turns = [self._without_secrets(turn) for turn in turns]
            failures: list[Exception] = []
            for sink in self._sinks:
                shared = parent is not None and parent.shares(sink, session, parent_id, stop)
                if not shared:
                    failures += _some(self._try_in_order(sink, session, turn) for turn in turns)
        self._mirrors.put(session, *turns)
        if failures:
            raise self._error("the session's history was not stored everywhere", failures, None)

    def shares(self, sink: Sink, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Have a sink begin *session* with turns of this one; tell whether it did."""
        with self._lock:
            if any(other is sink for other, _ in self._pending):
                # It lacks some of them.
                return False
            try:
                return self._plugins.share_turns(sink, session, parent_id, stop)
            except Exception as error:  # noqa: BLE001 - then they are stored one by one
                log.warning("storage %r did not share a history: %s", sink.name, error)
                return False

    def _without_secrets(self, turn: Turn) -> Turn:
        # A block that did not change stays the same object: a storage tells by that what is new.
        before = {id(block): clean for block, clean in self._redacted}
        blocks = [before.get(id(block)) or self._redactor.value(block) for block in turn.output]
        self._redacted = list(zip(turn.output, blocks, strict=True))
        head = self._redactor.value(attrs.evolve(turn, output=(), raw_output=()))
        return attrs.evolve(head, output=tuple(blocks), raw_output=turn.raw_output)

    def record_head(self, session: SessionInfo) -> list[Exception]:
        """Give the head of the record to every sink; return what went wrong."""
        self._mirrors.put(session)
        with self._lock:
            return _some(self._try_head(sink, session) for sink in self._sinks)

    def flush(self, session: SessionInfo, *, mirrors: bool = True) -> None:
        """Try again what failed before, oldest turn first.

        Args:
            session: the head of the record.
            mirrors: what mirrors lack as well.

        Raises:
            PersistError: something still cannot be stored; it is kept.
        """
        with self._lock:
            turns = sorted(self._pending.items(), key=lambda item: item[0][1])
            failures = _some(self._try_turn(sink, session, turn) for (sink, _), (turn, _) in turns)
            heads = list(self._pending_heads.items())
            failures += _some(self._try_head(sink, head) for sink, head in heads)
            last = max((turn for turn, _ in self._pending.values()), key=_place, default=None)
        if mirrors:
            failures += self._mirrors.flush()
        if failures:
            raise self._error("some of the session is still not stored", failures, last)

    def finish(self, session: SessionInfo) -> None:
        """Store the head of a record that has ended, and once more what failed before.

        Raises:
            PersistError: something still cannot be stored. What a mirror lacks is only logged.
        """
        try:
            failures = self.record_head(session)
            if failures or self._pending:
                self.flush(session, mirrors=False)
        finally:
            self._mirrors.close()

    def _try_in_order(self, sink: Sink, session: SessionInfo, turn: Turn) -> Exception | None:
        """Give *turn* to a sink after those that it refused: a record must have no holes."""
        behind = [index for other, index in self._pending if other is sink and index < turn.index]
        for index in sorted(behind):
            failure = self._try_turn(sink, session, self._pending[sink, index][0])
            if failure is not None:
                self._pending[sink, turn.index] = (turn, 0)
                return failure
        return self._try_turn(sink, session, turn)

    def _try_turn(self, sink: Sink, session: SessionInfo, turn: Turn) -> Exception | None:
        key = (sink, turn.index)
        refused, attempts = self._pending.get(key, (turn, 0))
        # A turn that has gone on since is a new state, and this the first attempt for it.
        attempt = attempts + 1 if refused == turn else 1

        def store(again: int) -> None:
            self._plugins.persist_turn(sink, session, turn, attempt + again - 1)

        # What of a running turn is not stored now is stored with what comes next.
        retry = ONCE if turn.status == "running" else self._plugins.retry
        failure = self._attempt(sink, session, f"turn {turn.index}", lambda: retry.call(store))
        if failure is None:
            self._pending.pop(key, None)
        else:
            self._pending[key] = (turn, attempt + retry.attempts - 1)
        return failure

    def _try_head(self, sink: Sink, session: SessionInfo) -> Exception | None:
        failure = self._attempt(
            sink,
            session,
            "its head",
            lambda: self._plugins.retry.call(
                lambda _: self._plugins.persist_session(sink, session)
            ),
        )
        if failure is None:
            self._pending_heads.pop(sink, None)
        else:
            self._pending_heads[sink] = session
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


def _some(failures: Iterable[Exception | None]) -> list[Exception]:
    return [failure for failure in failures if failure is not None]


def _place(turn: Turn) -> int:
    return turn.index
