"""One running turn: its thread, its deadlines, its end."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.clock import process_clock
from caw_core.errors import (
    CawError,
    DeadlineError,
    PersistError,
    ProcessError,
    ProviderError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import (
    Event,
    Notice,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from caw_core.fold import TurnFold
from caw_core.provider import Prompt
from caw_core.trajectory import ErrorInfo, Turn, TurnStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.event_buffer import EventBuffer
    from caw_core.session import Session

log = logging.getLogger("caw.session")

SNAPSHOT_SECONDS = 1.0

BY_CALLER = "caller"
BY_END = "end"


def utc_now() -> str:
    """Return the time as records hold it: ISO 8601 with offset, UTC."""
    return datetime.now(UTC).isoformat()


def describe_error(error: BaseException) -> ErrorInfo:
    """Return *error* as a value that can be stored: its class, text and plain facts."""
    hidden = {"turn", "provider", "session_id", "stderr_tail"}
    facts: dict[str, Any] = {}
    for name, value in vars(error).items():
        if name in hidden or name.startswith("_") or value in (None, ""):
            continue
        if isinstance(value, datetime):
            facts[name] = value.isoformat()
        elif isinstance(value, str | int | float | bool):
            facts[name] = value
    return ErrorInfo(type=type(error).__name__, message=str(error), data=facts)


class TurnRun:
    """Runs one prompt in a thread of its own, from the queue to the record.

    Whatever happens, the turn ends exactly once: `finished` is set, `turn` is final, `error` is
    what the caller is to see.

    Args:
        session: the session it belongs to.
        prompt: the text.
        buffer: where events go for somebody who iterates; None when nobody does.
    """

    def __init__(self, session: Session, prompt: str, buffer: EventBuffer | None) -> None:
        self._session = session
        self._prompt = prompt
        self._buffer = buffer
        self._lock = threading.RLock()
        self._fold: TurnFold | None = None
        self._turn: Turn | None = None
        self._interrupted_by: str | DeadlineError | None = None
        self._started = 0.0
        self._last_sign = 0.0
        self._signs = 0
        self._last_snapshot = 0.0
        self._asked_to_stop = 0.0
        self._asked_again = False
        self._ticket: object = None
        self._callbacks: list[Callable[[], None]] = []
        self.error: BaseException | None = None
        self.finished = threading.Event()
        # Known before it has a place, so that an end() in between cannot miss it.
        session.track(self)
        try:
            self._ticket = session.queue.join()
        except BaseException:
            session.untrack(self)
            raise
        threading.Thread(target=self._run, name="caw-turn", daemon=True).start()

    # ------------------------------------------------------------------------ for the caller

    def turn(self) -> Turn | None:
        """Return the turn as it is now; None before it began."""
        with self._lock:
            if self._turn is not None or self._fold is None:
                return self._turn
            return self._fold.turn(duration_ms=self._elapsed_ms())

    def outcome(self) -> Turn:
        """Return the final turn, or raise what ended it. Call it only when `finished` is set."""
        if self.error is not None:
            raise self.error
        assert self._turn is not None  # noqa: S101 - finished without error means there is a turn
        return self._turn

    def when_finished(self, callback: Callable[[], None]) -> None:
        """Call *callback* once the turn has ended, at once if it has."""
        with self._lock:
            if not self.finished.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def interrupt(self, by: str | DeadlineError = BY_CALLER) -> None:
        """End the turn early; idempotent, returns at once.

        Asks the agent first. If the turn has not ended after the ``stop`` deadline, the session
        with the agent is closed under it, and after another one the turn ends without its help.
        """
        with self._lock:
            if self.finished.is_set() or self._asked_to_stop:
                return
            self._asked_to_stop = time.monotonic()
            self._interrupted_by = by
            begun = self._fold is not None
        if self._buffer is not None:
            self._buffer.lift_limit()
        if not begun:
            if self._ticket is not None:
                self._session.queue.leave(self._ticket)
            return
        threading.Thread(target=self._stop_agent, name="caw-interrupt", daemon=True).start()

    # ---------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            self._session.queue.wait(self._ticket)
            with self._lock:
                self._begin()
            self._emit(TurnStarted(index=self._index))
            for notice in self._session.take_notices():
                self._handle(Notice(level="warning", message=notice))
            self._snapshot()
            if self._interrupted_by is None:
                self._follow_agent()
            else:
                self._end(TurnEnded(stop_reason="cancelled"))
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            self._fail(error)

    def _begin(self) -> None:
        if self._asked_to_stop:
            msg = "the turn was interrupted before it began"
            raise SessionStateError(msg)
        self._index = self._session.next_index()
        self._started = self._last_sign = time.monotonic()
        self._fold = TurnFold(
            index=self._index,
            prompt=self._prompt,
            started_at=utc_now(),
            options=self._session.options,
        )
        process_clock().watch(self._check_deadlines, self._next_check(self._started))

    def _follow_agent(self) -> None:
        end: TurnEnded | None = None
        agent = self._session.agent_session()
        for event in agent.prompt(Prompt(text=self._prompt)):
            if end is not None:
                log.warning("provider yielded %s after the end of the turn", event.type)
                continue
            if isinstance(event, TurnEnded):
                end = event
            else:
                self._handle(event)
        self._end(end or TurnEnded())

    def _handle(self, event: Event) -> None:
        with self._lock:
            if self._turn is not None or self._fold is None:
                return
            self._fold.add(event)
            ask_again = self._interrupted_by is not None and not self._asked_again
            self._asked_again |= ask_again
        if ask_again:
            # The first request may have come before the agent had anything to interrupt.
            self._session.interrupt_agent()
        self._last_sign = time.monotonic()
        self._signs += 1
        self._emit(event)
        # A consumer that was slow is not an agent that was silent.
        self._last_sign = time.monotonic()
        if isinstance(event, ToolStarted | ToolFinished):
            self._snapshot()

    def _emit(self, event: Event) -> None:
        if self._buffer is not None:
            self._buffer.put(event)

    def _snapshot(self) -> None:
        now = time.monotonic()
        if self._session.recorder.active and (
            not self._last_snapshot or now - self._last_snapshot >= SNAPSHOT_SECONDS
        ):
            self._last_snapshot = now
            turn = self.turn()
            if turn is not None:
                self._session.recorder.record_turn(self._session.info, turn)

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    # ------------------------------------------------------------------------------- the end

    def _fail(self, error: BaseException) -> None:
        if self._fold is None:
            self.error = error
            self._finish()
            return
        if not isinstance(error, CawError):
            problem = f"{type(error).__name__}: {error}"
            wrapped = ProviderError(f"the provider failed unexpectedly with {problem}")
            wrapped.__cause__ = error
            error = wrapped
        if self._interrupted_by is not None:
            # What breaks while we stop it is part of stopping it.
            self._end(TurnEnded(stop_reason="cancelled"))
            return
        # A program that died may have done things that nobody saw.
        status: TurnStatus = "unknown" if isinstance(error, ProcessError) else "failed"
        self._end(TurnEnded(stop_reason=None, status=status), error)

    def _end(self, end: TurnEnded, error: CawError | None = None) -> None:
        by = self._interrupted_by
        if isinstance(by, DeadlineError):
            end, error = TurnEnded(stop_reason=None, status="failed"), by
        elif end.stop_reason == "cancelled":
            end = attrs.evolve(end, status="interrupted")
        if error is not None:
            end = attrs.evolve(end, error=describe_error(error))
        end = attrs.evolve(end, status=end.status or "completed")
        with self._lock:
            if self._turn is not None or self._fold is None:
                return
            self._fold.add(end)
            self._turn = turn = self._fold.turn(duration_ms=self._elapsed_ms())
        if by == BY_END and error is None:
            error = TurnInterruptedError("the session was ended while the turn ran")
        self._session.add_turn(turn)
        try:
            self._session.recorder.record_turn(self._session.info, turn)
        except PersistError as failure:
            # The agent's failure is the news; the unstored turn is kept for flush() either way.
            error = error or failure
        if isinstance(error, ProviderError):
            error.turn = turn
            error.provider = error.provider or self._session.provider
            error.session_id = error.session_id or self._session.session_id
        self.error = error
        self._emit(end)
        self._finish()

    def _finish(self) -> None:
        if self._buffer is not None:
            self._buffer.close()
        self._session.queue.leave(self._ticket)
        with self._lock:
            self.finished.set()
            callbacks, self._callbacks = self._callbacks, []
        self._session.untrack(self)
        for callback in callbacks:
            callback()

    # ------------------------------------------------------------------------------ stopping

    def _stop_agent(self) -> None:
        step = self._session.deadlines.stop
        for stop in (self._session.interrupt_agent, self._session.abandon_agent):
            try:
                stop()
            except Exception:
                log.exception("stopping the agent of session %s failed", self._session.session_id)
            if self.finished.wait(step):
                return
        log.warning(
            "session %s: the provider did not end the turn; going on without it",
            self._session.session_id,
        )
        self._end(TurnEnded(stop_reason="cancelled"))

    def _deadlines_ahead(self) -> list[tuple[float, str, float]]:
        limits = self._session.deadlines
        silence = "idle" if self._signs else "first_event"
        return [
            (begin + seconds, kind, seconds)
            for kind, begin, seconds in (
                (silence, self._last_sign, getattr(limits, silence)),
                ("turn", self._started, limits.turn),
            )
            if seconds is not None
        ]

    def _next_check(self, now: float) -> float:
        return min([when for when, _, _ in self._deadlines_ahead()], default=now + 3600)

    def _check_deadlines(self, now: float) -> float | None:
        if self.finished.is_set() or self._asked_to_stop:
            return None
        passed = [(kind, seconds) for when, kind, seconds in self._deadlines_ahead() if when <= now]
        if not passed:
            return self._next_check(now)
        kind, seconds = passed[0]
        self.interrupt(DeadlineError(kind, seconds, hint=f"Set Deadlines({kind}=…) to allow more."))
        return None
