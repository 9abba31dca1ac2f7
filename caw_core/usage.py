"""What a turn cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from caw_core.blocks import JSON, frozen_extra

CostSource = Literal["reported", "computed", "unknown"]


@attrs.frozen(kw_only=True)
class UsageStats:
    """Tokens and money. The five token counts do not overlap, but for ``reasoning_tokens``.

    Attributes:
        input_tokens: prompt tokens that were neither read from nor written to a cache.
        output_tokens: tokens that the model wrote, reasoning included.
        cache_read_tokens: prompt tokens read from the service's cache.
        cache_write_tokens: prompt tokens written to it.
        reasoning_tokens: the part of ``output_tokens`` that was reasoning.
        cost_usd: US dollars, or None where nobody knows; never 0 for unknown.
        cost_source: whether the agent ``reported`` the cost or we ``computed`` it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    cost_source: CostSource = "unknown"
    extra: Mapping[str, JSON] = frozen_extra()

    @property
    def total_tokens(self) -> int:
        """Every token that went in or came out, cached ones included."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
        )

    def __bool__(self) -> bool:
        """Tell whether anything was used at all."""
        return self.total_tokens > 0 or self.cost_usd is not None

    def __add__(self, other: UsageStats) -> UsageStats:
        """Add two usages; a cost that is unknown on one side makes the sum unknown."""
        if not self:
            return other
        if not other:
            return self
        cost: float | None = None
        source: CostSource = "unknown"
        if self.cost_usd is not None and other.cost_usd is not None:
            cost = self.cost_usd + other.cost_usd
            source = self.cost_source if self.cost_source == other.cost_source else "computed"
        return UsageStats(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=cost,
            cost_source=source,
        )
