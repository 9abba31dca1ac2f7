"""A running turn: what it has come to so far, and what other threads tell it meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.permissions import Decision, PermissionDesk, PermissionRequest
    from caw_core.trajectory import StopReason


class RunningTurn:
    """One turn; `cancel` and `steer` may be called from any thread.

    Attributes:
        stop: why it ends, unless it is cancelled.
        words: how many were said.
        reported: how many of them a model call has accounted for.
        calls: the model calls that were reported.
    """

    def __init__(self) -> None:
        self.stop: StopReason = "end_turn"
        self.words = 0
        self.reported = 0
        self.calls = 0
        self._blocks = 0
        self._changed = threading.Condition()
        self._cancelled = False
        self._over = False
        self._steered: list[str] = []
        self._was_steered = False

    @property
    def cancelled(self) -> bool:
        """Whether somebody interrupted it."""
        return self._cancelled

    def new_id(self, kind: str) -> str:
        """Return an id that nothing else in this turn has."""
        self._blocks += 1
        return f"{kind}-{self._blocks}"

    # -------------------------------------------------------------------- from other threads

    def cancel(self) -> None:
        """End it soon; what it waits for is waited for no more."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def steer(self, text: str) -> bool:
        """Have *text* answered at the next step; False if no step comes any more."""
        with self._changed:
            if self._over or self._cancelled:
                return False
            self._steered.append(text)
            self._was_steered = True
            self._changed.notify_all()
            return True

    # ------------------------------------------------------------------ from the turn's thread

    def take_steered(self, *, ending: bool) -> list[str]:
        """Return what was steered in since the last call.

        :param ending: nothing else is left to do: if nothing was steered in either, the turn is
            over and takes no more.
        """
        with self._changed:
            texts, self._steered = self._steered, []
            self._over = self._over or (ending and not texts)
            return texts

    def finish(self) -> None:
        """Take no more; idempotent."""
        with self._changed:
            self._over = True

    def pause(self, seconds: float) -> None:
        """Wait until the time has passed or the turn is cancelled; not once it was steered.

        What is steered in may come just before or just after the wait begins, and whoever does it
        cannot know.
        """
        self._wait_for(lambda: self._was_steered, seconds)

    def decision_of(self, desk: PermissionDesk, request: PermissionRequest) -> Decision | None:
        """Bring *request* to *desk* and wait for the answer; None if the turn was cancelled."""
        answers: list[Decision] = []

        def settle(decision: Decision) -> None:
            with self._changed:
                answers.append(decision)
                self._changed.notify_all()

        desk.ask(request, settle)
        self._wait_for(lambda: bool(answers))
        return answers[0] if answers else None

    def _wait_for(self, happened: Callable[[], bool], seconds: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or happened(), seconds)
