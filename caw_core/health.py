"""How a provider is, and whether it really answers."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError, LimitError

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

    @property
    def rate_limited(self) -> bool | None:
        """Whether the service refuses for now; None if it was not asked or failed otherwise."""
        if isinstance(self.error, LimitError):
            return True
        return False if self.turn is not None else None

    @property
    def resets_at(self) -> datetime | None:
        """When the limit ends, where the service said so."""
        return self.error.resets_at if isinstance(self.error, LimitError) else None

    @property
    def wait_minutes(self) -> int | None:
        """How many minutes from now until then, rounded up; None where that is not known."""
        if self.resets_at is None:
            return None
        seconds = (self.resets_at - datetime.now(UTC)).total_seconds()
        return max(0, math.ceil(seconds / 60))


def probe(agent: Agent, readiness: Readiness) -> Health:
    """Send one small prompt in a session of its own."""
    try:
        with agent.start_session() as session:
            turn = session.send(PROBE)
    except CawError as error:
        return Health(provider=agent.provider, readiness=readiness, probed=True, error=error)
    return Health(provider=agent.provider, readiness=readiness, probed=True, turn=turn)
