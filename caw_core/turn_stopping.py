"""Ending a running turn early: who asked for it, and the steps towards an end."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.session_core import SessionCore
    from caw_core.turn_ending import Stopper

log = logging.getLogger("caw.session")


class TurnStopping:
    """The early end of one turn; the first who asks for it is the one who ends it.

    Args:
        session: whose turn it is.
        finished: set when the turn has ended.
        give_up: ends the turn without the agent's help.

    Attributes:
        by: who asked for the end; None while nobody has.
    """

    def __init__(
        self,
        session: SessionCore,
        finished: threading.Event,
        give_up: Callable[[], None],
    ) -> None:
        self.by: Stopper | None = None
        self._session = session
        self._finished = finished
        self._give_up = give_up
        self._asked = threading.Event()
        self._asked_again = False

    def note(self, by: Stopper) -> None:
        """Take note of who asks; nothing else happens yet."""
        self.by = by
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait for somebody to ask, at most *seconds*; tell whether somebody did."""
        return self._asked.wait(seconds)

    def must_ask_again(self) -> bool:
        """Tell whether the agent is to be asked once more; True once."""
        # The first request may have come before the agent had anything to interrupt.
        again = self.by is not None and not self._asked_again
        self._asked_again |= again
        return again

    def begin(self) -> None:
        """Ask the agent, close its session under it, and give up; one after another."""
        threading.Thread(target=self._stop, name="caw-interrupt", daemon=True).start()

    def _stop(self) -> None:
        session_id = self._session.info.session_id
        for step in (self._session.link.interrupt, self._session.link.abandon):
            try:
                step()
            except Exception:
                log.exception("stopping the agent of session %s failed", session_id)
            # After the agent knows: it would go on with their results.
            self._session.tools.cancel_calls()
            if self._finished.wait(self._session.request.deadlines.stop):
                return
        log.warning(
            "session %s: the provider did not end the turn; going on without it", session_id
        )
        self._give_up()
