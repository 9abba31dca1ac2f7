"""One running turn: its thread, what it follows, its end."""

from __future__ import annotations

import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, ClassVar

from caw_core.children import STOP_STEPS, TurnChildren
from caw_core.clock import process_clock
from caw_core.errors import (
    CawError,
    ProcessError,
    ProviderError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import (
    Event,
    RawOutput,
    Steered,
    SubagentEvent,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UsageReported,
)
from caw_core.fallback import is_deed, may_change
from caw_core.handoff import carried
from caw_core.log_fields import note_turn
from caw_core.pricing import TurnPrices
from caw_core.provider import Prompt
from caw_core.trajectory import Turn, TurnOrigin
from caw_core.turn_ending import BY_CALLER, BY_END, Stopper, completed, failed, failure, placed
from caw_core.turn_following import follow, new_fold
from caw_core.turn_limits import DeadlineWatch, wait_for_limit
from caw_core.turn_queue import Ticket
from caw_core.turn_stopping import TurnStopping
from caw_core.turn_store import TurnStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.event_buffer import EventBuffer
    from caw_core.events import Waiting
    from caw_core.fallback import OpenedInstead
    from caw_core.fold import TurnFold
    from caw_core.provider import ProviderSession
    from caw_core.session_core import SessionCore

log = logging.getLogger("caw.session")

GO_ON = "Please go on where you stopped."
"""What is sent after a wait for a usage limit, if the agent had done something already."""


class TurnRun:
    """Runs one prompt in a thread of its own, from the queue to the record.

    Whatever happens, the turn ends exactly once: `finished` is set, `turn` is final, `error` is
    what the caller is to see.

    Args:
        session: the session it belongs to.
        prompt: what is sent.
        buffer: where events go for somebody who iterates; None when nobody does.
    """

    origin: ClassVar[TurnOrigin] = "user"

    def __init__(self, session: SessionCore, prompt: Prompt, buffer: EventBuffer | None) -> None:
        self._session = session
        self._prompt = prompt
        self._buffer = buffer
        self._lock = threading.RLock()
        self._fold: TurnFold | None = None
        self._turn: Turn | None = None
        self._started = 0.0
        self._deeds = False
        self.children = TurnChildren()
        self._store = TurnStore(session, self._running)
        self._prices = TurnPrices(session.plugins)
        self._ticket = Ticket(prompt)
        self._callbacks: list[Callable[[], None]] = []
        self._agent: ProviderSession | None = None
        self.error: BaseException | None = None
        self.finished = threading.Event()
        self._stopping = TurnStopping(session, self.finished, self._give_up)
        # Known before it has a place, so that an end() in between cannot miss it.
        session.track(self)
        thread = threading.Thread(target=self._run, name="caw-turn", daemon=True)
        try:
            self._join()
            thread.start()
        except BaseException:
            # Ctrl-C can land here, too: a turn that nobody knows of must not run, nor hold others.
            self.interrupt()
            if not thread.is_alive():
                session.untrack(self)
            raise

    # ------------------------------------------------------------------------ for the caller

    def turn(self) -> Turn | None:
        """Return the turn as it is now; None before it began."""
        with self._lock:
            if self._turn is not None or self._fold is None:
                return self._turn
            return self.children.attached(self._fold.turn(duration_ms=self._elapsed_ms()))

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

    def interrupt(self, by: Stopper = BY_CALLER) -> None:
        """End the turn early; idempotent, returns at once.

        Asks the agent first. If the turn has not ended after the ``stop`` deadline, the session
        with the agent is closed under it, and after another one the turn ends without its help.

        Args:
            by: who ends it; see `caw_core.turn_ending.Stopper`.
        """
        with self._lock:
            if self.finished.is_set() or self._stopping.by is not None:
                return
            self._stopping.note(by)
            begun = self._fold is not None
        if self._buffer is not None:
            self._buffer.raise_limit()
        if not begun:
            self._session.queue.leave(self._ticket)
            return
        self._stopping.begin()

    def steer(self, prompt: Prompt) -> bool:
        """Deliver *prompt* into the turn; False if the agent did not take it any more."""
        if self.turn() is None or self.finished.is_set() or not self._session.link.steer(prompt):
            return False
        self._handle(Steered(text=prompt.text), wait=False)
        return True

    def give_way(self, other: TurnRun) -> None:
        """Let a turn go first that the agent began before it took this one's prompt up."""
        with self._lock:
            if self._fold is None or self._turn is not None:
                return
            self._index += 1
            self._fold.renumber(self._index)
            self._deadlines.pause()

        def go_on() -> None:
            self._deadlines.go_on()
            self._attend()

        other.when_finished(go_on)
        self._emit(TurnStarted(index=self._index), wait=False)
        self._store.snapshot()

    def tell_of_subagent(self, event: Event) -> None:
        """Take what happened in a subagent that a tool call of the turn runs."""
        self._handle(event)

    # ---------------------------------------------------------------------------- the thread

    def _join(self) -> None:
        self._session.queue.join(self._ticket)

    def _run(self) -> None:
        try:
            self._session.queue.wait(self._ticket)
            for other in self._session.running():
                other.give_way(self)
            with self._lock:
                self._begin()
            self._emit(TurnStarted(index=self._index))
            self._store.snapshot()
            self._follow_agent()
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            try:
                self._fail(error)
            except BaseException as failure:
                # Our own bug must not leave the caller waiting for ever.
                log.exception("session %s: ending a turn failed", self._session.info.session_id)
                self.error = failure
                self._finish()

    def _begin(self) -> None:
        if self._stopping.by is not None:
            msg = "the turn was interrupted before it began"
            raise SessionStateError(msg)
        session = self._session
        self._usage = session.usage_watch()
        self._admit()
        self._index = note_turn(session.info, session.next_index())
        self._started = time.monotonic()
        desk = session.request.permission_desk
        self._deadlines = DeadlineWatch(
            session.request.deadlines, lambda: desk.waiting or session.tools.running
        )
        self._attend()
        self._fold = new_fold(session, self._prompt, self._index, self.origin)
        process_clock().watch(self._check_deadlines, self._deadlines.next_check(self._started))

    def _admit(self) -> None:
        over = self._usage.check_budget()
        if over is not None:
            raise over

    def _attend(self) -> None:
        # A provider asks from the thread that reads its program, which must go on reading.
        self._session.request.permission_desk.attach(functools.partial(self._handle, wait=False))

    def _follow_agent(self) -> None:
        if self._stopping.by is not None:
            self._end(TurnEnded(stop_reason="cancelled"))
            return
        self._agent = agent = self._session.link.session()
        for event in self._session.take_notices():
            self._tell(event)
        prompt, waits = carried(self._session, self._prompt, self._tell), 0
        self._ticket.prompt = prompt
        while True:
            before = self._blocks_so_far()
            try:
                self._end(self._follow(agent.prompt(prompt)))
            except ProviderError as error:
                if (other := self._change_provider(error)) is not None:
                    agent = other
                    continue
                pause = wait_for_limit(error, waits) if self._session.settings.auto_wait else None
                if pause is None or not self._wait(pause):
                    raise
                waits += 1
                if self._blocks_so_far() > before:
                    prompt = self._ticket.prompt = Prompt(text=GO_ON)
            else:
                return

    def _follow(self, events: Iterator[Event]) -> TurnEnded:
        return follow(events, self._handle, lambda: self._stopping.by is not None)

    def _change_provider(self, error: ProviderError) -> ProviderSession | None:
        fallback = self._session.fallback
        if fallback is None or self._index or self._deeds or not may_change(error):
            return None
        with self._deadlines.paused():
            agent = fallback.take_over(self._session, self._prompt, error, self._adopt)
        for event in self._session.take_notices():
            self._tell(event)
        return agent

    def _adopt(self, opened: OpenedInstead) -> Callable[[], None] | None:
        with self._lock:
            if self._stopping.by is not None or self._fold is None or self._turn is not None:
                return None
            close_the_other = self._session.change_agent(opened)
            self._agent, self._prices = opened.agent, TurnPrices(opened.plugins)
            self._usage = self._session.usage_watch()
            self._fold.treat(opened.options)
            return close_the_other

    def _blocks_so_far(self) -> int:
        with self._lock:
            return self._fold.blocks_so_far if self._fold is not None else 0

    def _wait(self, pause: Waiting) -> bool:
        self._handle(pause)
        session_id = self._session.info.session_id
        log.warning("session %s waits until %s: %s", session_id, pause.until, pause.reason)
        with self._deadlines.paused():
            return not self._stopping.wait(pause.seconds)

    def _handle(self, event: Event, *, wait: bool = True) -> None:
        if isinstance(event, RawOutput):
            event = self._session.redactor.value(event)
        if isinstance(event, UsageReported):
            # Reading a price table may take a while, which is not the agent's silence.
            self._deadlines.sign()
            event = self._prices.priced(event)
        with self._lock:
            if self._turn is not None or self._fold is None:
                return
            self._fold.add(event)
            self._deeds |= is_deed(event)
            ask_again = self._stopping.must_ask_again()
        if ask_again:
            self._session.link.interrupt()
        self._deadlines.sign()
        self._emit(event, wait=wait)
        # A consumer that was slow is not an agent that was silent.
        self._deadlines.sign()
        if isinstance(event, ToolStarted | ToolFinished):
            self._store.snapshot()
        if isinstance(event, UsageReported | SubagentEvent):
            reason = self._usage.reason_to_stop(event)
            if reason is not None:
                self.interrupt(reason)

    def _tell(self, event: Event) -> None:
        """Take an event that says nothing of the agent."""
        with self._lock:
            if self._fold is not None:
                self._fold.add(event)
        self._emit(event)

    def _emit(self, event: Event, *, wait: bool = True) -> None:
        self._session.listeners.put(self._index, event, self.turn)
        if self._buffer is not None:
            self._buffer.put(event, wait=wait)

    def _running(self) -> Turn | None:
        with self._lock:
            return self.turn() if self._turn is None else None

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    # ------------------------------------------------------------------------------- the end

    def _fail(self, error: BaseException) -> None:
        self._session.redactor.error(error)
        if self._fold is None:
            self.error = error
            self._finish()
            return
        self._session.tools.cancel_calls()
        if isinstance(error, ProcessError) and self._agent is not None:
            self._session.agent_crashed(self._agent)
        if self._stopping.by is not None:
            # What breaks while we stop it is part of stopping it.
            self._end(TurnEnded(stop_reason="cancelled"))
            return
        known = failure(error)
        self._end(failed(known, sent=self._agent is not None), known)

    def _end(self, end: TurnEnded, error: CawError | None = None) -> None:
        by = self._stopping.by
        end, error = completed(end, error, by)
        self.children.close(STOP_STEPS * self._session.request.deadlines.stop)
        with self._lock:
            if self._turn is not None or self._fold is None:
                return
            self._fold.add(end)
            turn = self.children.attached(self._fold.turn(duration_ms=self._elapsed_ms()))
            self._turn = turn
            # Together, so that nobody else takes its place in the record.
            self._session.add_turn(turn)
        desk = self._session.request.permission_desk
        # `_handle` takes nothing any more, and whoever saw a request is to see how it ended.
        desk.attach(functools.partial(self._emit, wait=False))
        desk.close_turn("the turn is over")
        if by == BY_END and error is None:
            error = TurnInterruptedError("the session was ended while the turn ran")
        # The agent's failure is the news; the unstored turn is kept for flush() either way.
        unstored = self._store.final(turn)
        self.error = placed(error or unstored, self._session.info, turn)
        self._emit(end, wait=False)
        self._finish()

    def _finish(self) -> None:
        self._session.listeners.settle()
        if self._buffer is not None:
            self._buffer.close()
        self._session.queue.leave(self._ticket)
        with self._lock:
            self.finished.set()
            callbacks, self._callbacks = self._callbacks, []
        self._session.untrack(self)
        for callback in callbacks:
            callback()

    def _give_up(self) -> None:
        self._end(TurnEnded(stop_reason="cancelled"))

    def _check_deadlines(self, now: float) -> float | None:
        if self.finished.is_set() or self._turn is not None or self._stopping.by is not None:
            return None
        passed = self._deadlines.passed(now)
        if passed is None:
            return self._deadlines.next_check(now)
        self.interrupt(passed)
        return None
