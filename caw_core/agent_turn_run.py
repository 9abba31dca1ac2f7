"""One running turn that the agent began by itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from caw_core.provider import Prompt
from caw_core.turn_queue import Ticket
from caw_core.turn_run import TurnRun

if TYPE_CHECKING:
    from caw_core.agent_turns import AgentTurn
    from caw_core.session_core import SessionCore
    from caw_core.trajectory import TurnOrigin

log = logging.getLogger("caw.session")


class AgentTurnRun(TurnRun):
    """Follows a turn that runs already, so that it cannot be refused, only interrupted.

    Args:
        session: the session it belongs to.
        begun: the turn.
    """

    origin: ClassVar[TurnOrigin] = "agent"

    def __init__(self, session: SessionCore, begun: AgentTurn) -> None:
        self._agent_turn = begun
        super().__init__(session, Prompt(text=begun.cause), None)

    def _join(self) -> None:
        self._ticket = Ticket()
        self._session.queue.join_after(self._agent_turn.after, self._ticket)

    def _admit(self) -> None:
        """It runs already."""

    def _follow_agent(self) -> None:
        self._agent = self._session.link.current
        over = self._usage.check_budget()
        if over is not None:
            self.interrupt(over)
        # No wait for a usage limit: nobody asked for the turn, so it is not asked for again.
        self._end(self._follow(self._agent_turn.events))

    def _finish(self) -> None:
        super()._finish()
        turn = self.turn()
        if self.error is not None:
            session_id = self._session.info.session_id
            log.warning("a turn of the agent's own in session %s: %s", session_id, self.error)
        if turn is None:
            return
        for callback in self._session.agent_turn_callbacks:
            try:
                callback(turn)
            except Exception:
                log.exception("the callback for turns of the agent's own failed")
