"""What the model calls of a turn cost, where the agent does not say."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from caw_core.events import UsageReported
    from caw_core.plugins import AgentPlugins


def read_ahead(plugins: AgentPlugins, model: str) -> None:
    """Have the plugins that know prices read their tables now, in a thread of its own.

    That may take a second, in which an agent would make calls that its budget does not allow.
    """
    threading.Thread(
        target=plugins.price_usage,
        args=(model, UsageStats(input_tokens=1)),
        name="caw-prices",
        daemon=True,
    ).start()


class TurnPrices:
    """Adds a computed cost to what one turn reports without a cost.

    Args:
        plugins: those that know prices are among them.
    """

    def __init__(self, plugins: AgentPlugins) -> None:
        self._plugins = plugins
        self._model = ""

    def priced(self, event: UsageReported) -> UsageReported:
        """Return *event* with its cost, as far as anybody knows one."""
        # Agents name the model once, or not for what a subagent used.
        self._model = event.model or self._model
        usage = event.usage
        if usage.cost_usd is not None or not usage.total_tokens or not self._model:
            return event
        price = self._plugins.price_usage(self._model, usage)
        return event if price is None else attrs.evolve(event, usage=usage.priced(price))
