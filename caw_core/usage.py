"""What a turn cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import attrs

from caw_core.blocks import JSON, frozen_extra

CostSource = Literal["reported", "computed", "unknown"]

_BETWEEN_TABLES = ", "


@attrs.frozen(kw_only=True)
class Price:
    """What a price table says that a usage costs.

    Attributes:
        usd: US dollars, 0 or more.
        table: name and version of the table, such as ``genai-prices 0.2.3``.
    """

    usd: float
    table: str

    def __attrs_post_init__(self) -> None:
        """Refuse what would spoil every sum that it goes into."""
        if not (math.isfinite(self.usd) and self.usd >= 0):
            msg = f"a price is 0 or more US dollars, not {self.usd!r}"
            raise ValueError(msg)
        if not self.table:
            msg = "a price says which table it is from"
            raise ValueError(msg)


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
        cost_source: whether the agent ``reported`` the cost or we ``computed`` it; a sum of both
            is computed.
        price_table: name and version of the table that a computed cost comes from, several with
            commas between; ``""`` for a cost that comes from no table, and in records that do not
            tell.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    cost_source: CostSource = "unknown"
    price_table: str = ""
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
        tables = ""
        if self.cost_usd is not None and other.cost_usd is not None:
            cost = self.cost_usd + other.cost_usd
            source = self.cost_source if self.cost_source == other.cost_source else "computed"
            tables = _joined(self.price_table, other.price_table)
        return UsageStats(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=cost,
            cost_source=source,
            price_table=tables,
        )

    def priced(self, price: Price) -> UsageStats:
        """Return this usage with the cost that a price table says."""
        return attrs.evolve(
            self,
            cost_usd=price.usd,
            cost_source="computed",
            price_table=price.table,
        )


class UsageTally:
    """Adds up what the calls of a turn used, of which some may be known before their cost is."""

    def __init__(self) -> None:
        self._settled = UsageStats()
        self._ahead = UsageStats()

    @property
    def total(self) -> UsageStats:
        """What was used so far; the cost as far as it was reported, or computed."""
        return self._settled + self._ahead

    def add(self, usage: UsageStats, *, cost_follows: bool = False) -> None:
        """Take account of a report.

        Args:
            usage: what was used.
            cost_follows: its cost will be a part of the next that is reported, and a cost that it
                has was computed meanwhile.
        """
        if cost_follows:
            self._ahead = self._ahead + usage
            return
        if usage.cost_source == "reported" and self._ahead:
            paid = attrs.evolve(self._ahead, cost_usd=0.0, cost_source="reported", price_table="")
            self._settled, self._ahead = self._settled + paid, UsageStats()
        self._settled = self._settled + usage


def _joined(*tables: str) -> str:
    """Return the names of price tables in the order of their first use, each once."""
    names = [name for table in tables for name in table.split(_BETWEEN_TABLES) if name]
    return _BETWEEN_TABLES.join(dict.fromkeys(names))
