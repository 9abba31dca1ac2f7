"""caw plugin that computes what a turn costs, from the price table of genai-prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import hookimpl

if TYPE_CHECKING:
    from caw_core.usage import Price, UsageStats

__all__ = ["caw_api", "price_usage"]

caw_api = "1.0"


@hookimpl
def price_usage(model: str, usage: UsageStats) -> Price | None:
    """Return the list price, None where the table has none; see `caw_core.hookspecs`."""
    # The table and what reads it take most of a second and 90 MB, so they come at first use.
    from caw_prices.table import list_price

    return list_price(model, usage)
