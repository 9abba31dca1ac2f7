"""What ends a turn from outside: deadlines, the budget, the bound on model calls, usage limits."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from caw_core.errors import BudgetError, DeadlineError, LimitError
from caw_core.events import SubagentEvent, TurnEnded, UsageReported, Waiting
from caw_core.usage import UsageTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.budget import Budget
    from caw_core.deadlines import Deadlines
    from caw_core.errors import ProviderError
    from caw_core.usage import UsageStats

RESET_MARGIN_SECONDS = 5.0
"""Clocks differ: going on at the very second of the reset is often a second too early."""

UNKNOWN_RESET_WAITS = (300.0, 600.0, 900.0, 1800.0)
"""Waits, in seconds, where the service did not say when the limit ends: an hour in all, then the
limit is raised. Asking again in between costs nothing and often finds it gone."""


class DeadlineWatch:
    """The deadlines of one running turn; what happens is noted, and looked at later.

    Args:
        limits: the deadlines.
        resting: tells whether silence is ours, e.g. while a permission callback thinks.
    """

    def __init__(self, limits: Deadlines, resting: Callable[[], bool]) -> None:
        self._limits = limits
        self._resting = resting
        self._started = self._last_sign = time.monotonic()
        self._signs = 0
        self._lock = threading.Lock()
        self._pauses = 0
        self._paused_at = 0.0

    def sign(self) -> None:
        """Note that the agent showed a sign of life."""
        self._last_sign = time.monotonic()
        self._signs += 1

    def pause(self) -> None:
        """Leave what follows out of account, until `go_on` was called as often as this."""
        with self._lock:
            if not self._pauses:
                self._paused_at = time.monotonic()
            self._pauses += 1

    def go_on(self) -> None:
        """Count again; the silence begins anew."""
        with self._lock:
            self._pauses -= 1
            if not self._pauses:
                self._last_sign = time.monotonic()
                self._started += self._last_sign - self._paused_at

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of account."""
        self.pause()
        try:
            yield
        finally:
            self.go_on()

    def _ahead(self) -> Iterator[tuple[float, str, float]]:
        silence = "idle" if self._signs else "first_event"
        for kind, begin, seconds in (
            (silence, self._last_sign, getattr(self._limits, silence)),
            ("turn", self._started, self._limits.turn),
        ):
            if seconds is not None:
                yield begin + seconds, kind, seconds

    def next_check(self, now: float) -> float:
        """Return when to look again."""
        if self._pauses:
            return now + 1
        checks = [when for when, _, _ in self._ahead()]
        if not self._signs and self._limits.idle is not None:
            # The first sign may come before the next check and start this one running.
            checks.append(now + self._limits.idle)
        return min(checks, default=now + 3600)

    def passed(self, now: float) -> DeadlineError | None:
        """Return the error for a deadline that has passed."""
        if self._pauses:
            return None
        if self._resting():
            self._last_sign = now
        for when, kind, seconds in self._ahead():
            if when <= now:
                hint = f"Set Deadlines({kind}=…) to allow more."
                return DeadlineError(kind, seconds, hint=hint)
        return None


class UsageWatch:
    """Counts what a turn uses against the session's budget and the bound on model calls.

    What its subagents use counts against the budget; their model calls are their own.

    Args:
        budget: the session's.
        before: what the session used before this turn.
        max_calls: how many model calls the turn may make; None for any number.
    """

    def __init__(self, budget: Budget, before: UsageStats, max_calls: int | None) -> None:
        self._budget = budget
        self._before = before
        self._used = UsageTally()
        self._children: dict[str, UsageTally] = {}
        self._cost_follows: set[str] = set()
        self._max_calls = max_calls
        self._calls = 0

    def check_budget(self) -> BudgetError | None:
        """Return the error if the budget is used up."""
        tallies = (self._used, *self._children.values())
        used = sum((tally.total for tally in tallies), self._before)
        return _over_budget(self._budget.problem(used, cost_follows=bool(self._cost_follows)))

    def reason_to_stop(
        self, event: UsageReported | SubagentEvent
    ) -> BudgetError | TurnEnded | None:
        """Take account of a model call; return how the turn must end if it was one too many."""
        if isinstance(event, SubagentEvent):
            return self._reason_of_subagent(event)
        self._add("", self._used, event)
        self._calls += 1
        if self._max_calls is not None and self._calls >= self._max_calls:
            # The next event is looked at first: the last allowed call may be the last anyway.
            return TurnEnded(stop_reason="max_turn_requests")
        return self.check_budget()

    def _reason_of_subagent(self, event: SubagentEvent) -> BudgetError | None:
        while isinstance(event.event, SubagentEvent):
            event = event.event
        if isinstance(event.event, TurnEnded):
            # What it has not said by now it never will.
            self._cost_follows.discard(event.session_id)
        elif isinstance(event.event, UsageReported):
            tally = self._children.setdefault(event.session_id, UsageTally())
            self._add(event.session_id, tally, event.event)
        else:
            return None
        return self.check_budget()

    def _add(self, who: str, tally: UsageTally, event: UsageReported) -> None:
        tally.add(event.usage, cost_follows=event.cost_follows)
        (self._cost_follows.add if event.cost_follows else self._cost_follows.discard)(who)


def _over_budget(problem: str) -> BudgetError | None:
    return BudgetError(f"the session's budget is used up: {problem}") if problem else None


def wait_for_limit(error: ProviderError, attempt: int) -> Waiting | None:
    """Return how long to wait for a usage limit to end; None if the error should be raised.

    Args:
        error: what the turn failed with.
        attempt: how often this turn has waited already.
    """
    if not isinstance(error, LimitError) or error.kind != "usage":
        return None
    now = datetime.now(UTC)
    # A time that has passed already tells nothing once it was tried: without a bound such a turn
    # would ask every few seconds for ever.
    if error.resets_at is not None and (error.resets_at > now or not attempt):
        seconds = max(0.0, (error.resets_at - now).total_seconds()) + RESET_MARGIN_SECONDS
    elif attempt < len(UNKNOWN_RESET_WAITS):
        seconds = UNKNOWN_RESET_WAITS[attempt]
    else:
        return None
    until = (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    return Waiting(reason=str(error), seconds=round(seconds, 1), until=until)
