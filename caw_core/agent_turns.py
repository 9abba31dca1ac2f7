"""Turns that the agent starts by itself: the provider tells of them, the core runs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_core.provider import Prompt


@attrs.frozen(kw_only=True, eq=False)
class AgentTurn:
    """A turn that the agent began without a prompt.

    Attributes:
        events: what happens in it, as `caw_core.provider.ProviderSession.prompt` yields it.
        cause: what set it off, in the agent's words; the record has it as the turn's input.
        after: the prompt that the agent took up last; None if it has taken none up yet.
    """

    events: Iterator[Event]
    cause: str = ""
    after: Prompt | None = None


class AgentTurns:
    """Takes a session's `AgentTurn` values from the provider to the core.

    What comes before the core is there waits for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._early: list[AgentTurn] = []
        self._take: Callable[[AgentTurn], None] | None = None

    def begin(
        self, events: Iterator[Event], *, cause: str = "", after: Prompt | None = None
    ) -> None:
        """Tell that the agent began a turn; returns at once, may be called from any thread.

        The core iterates over *events* in a thread of its own, once the turns before this one have
        ended, and bounds, records and counts it like any other turn.
        `caw_core.provider.ProviderSession.interrupt` ends it as it ends a prompt. A turn that the
        session's end comes before is never iterated over.

        Args:
            events: what happens in the turn. The agent must not wait for its being read.
            cause: what set it off, in the agent's words.
            after: the prompt, as `caw_core.provider.ProviderSession.prompt` got it, that the agent
                took up last. One that was sent since then is answered after this turn, and the
                record has them in that order.
        """
        turn = AgentTurn(events=events, cause=cause, after=after)
        with self._lock:
            take = self._take
            if take is None:
                self._early.append(turn)
        if take is not None:
            take(turn)

    def attach(self, take: Callable[[AgentTurn], None]) -> None:
        """Have *take* called with each turn, those that came before among them."""
        with self._lock:
            self._take = take
            early, self._early = self._early, []
        for turn in early:
            take(turn)
