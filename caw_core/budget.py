"""How much a session may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from caw_core.usage import UsageStats


@attrs.frozen(kw_only=True)
class Budget:
    """A bound on what a session uses, from its first turn in this process on.

    What its subagents use counts, too. It is looked at before each turn and whenever an agent
    reports what a model call used, so it can be passed by one call. A bound in money needs an agent
    that reports cost, or a plugin that computes it (caw-prices): with an unknown cost the turn is
    ended too, since nothing else would keep the promise.

    Attributes:
        tokens: tokens of all kinds, cached ones included; None for no bound.
        usd: US dollars; None for no bound.
    """

    tokens: int | None = None
    usd: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse bounds that are no bounds."""
        for name, value in (("tokens", self.tokens), ("usd", self.usd)):
            kinds = (int,) if name == "tokens" else (int, float)
            # Written so that NaN, which is neither above nor below, is no bound either.
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, kinds) or not value > 0
            ):
                what = "a whole number" if name == "tokens" else "a number"
                msg = f"Budget.{name} must be {what} above 0, not {value!r}"
                raise ConfigError(msg)

    def problem(self, used: UsageStats, *, cost_follows: bool = False) -> str:
        """Say why *used* is over the budget; ``""`` if it is not.

        Args:
            used: what was used so far.
            cost_follows: the agent has not said the cost yet, and will.
        """
        if self.tokens is not None and used.total_tokens >= self.tokens:
            return f"{used.total_tokens} of {self.tokens} tokens are used"
        if self.usd is not None and used:
            if used.cost_usd is None:
                if cost_follows:
                    return ""
                return f"the cost is unknown, so the budget of {self.usd} USD cannot be kept"
            if used.cost_usd >= self.usd:
                return f"{used.cost_usd:.4f} of {self.usd} USD are used"
        return ""
