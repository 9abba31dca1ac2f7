"""How a provider is, and whether it really answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError

if TYPE_CHECKING:
    from caw_core.agent import Agent
    from caw_core.provider import Readiness
    from caw_core.trajectory import Turn

PROBE = "Reply with the single word: ok"


@attrs.frozen(kw_only=True)
class Health:
    """The state of a provider.

    Attributes:
        provider: its name.
        readiness: what could be seen without asking it.
        probed: whether it was asked.
        turn: the turn that it was asked with, where it answered.
        error: what came instead of an answer.
    """

    provider: str
    readiness: Readiness
    probed: bool = False
    turn: Turn | None = None
    error: CawError | None = attrs.field(default=None, eq=False)

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against using it."""
        return self.readiness.ready and self.error is None


def probe(agent: Agent, readiness: Readiness) -> Health:
    """Send one small prompt in a session of its own."""
    try:
        with agent.start_session() as session:
            turn = session.send(PROBE)
    except CawError as error:
        return Health(provider=agent.provider, readiness=readiness, probed=True, error=error)
    return Health(provider=agent.provider, readiness=readiness, probed=True, turn=turn)
