"""What became of a message that was meant for the running turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from caw_core.stream import TurnStream


@attrs.frozen(kw_only=True)
class SteerReceipt:
    """The fate of a `caw_core.Session.steer`.

    Attributes:
        outcome: ``delivered`` into the running turn; ``queued`` as a turn of its own after it,
            because the agent takes nothing in between; ``rejected``, nothing was sent.
        reason: why it was not delivered.
        stream: the turn that it was queued as.
    """

    outcome: Literal["delivered", "queued", "rejected"]
    reason: str = ""
    stream: TurnStream | None = None
