"""What a turn used, from what claude counts.

``modelUsage`` of a ``result`` line is a running total for each model; it begins at 0 with each
process in 2.1.197, and goes on after a resume in 2.1.329, which therefore says
``model_usage_since_last_result`` as well. The line's own ``usage`` is the turn's, but it leaves out
subagents and answers that claude fetched again after a broken stream (all observed), so it is used
only where nothing else is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.events import UsageReported
from caw_core.json_fields import count, decimal, mapping
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from caw_core.blocks import JSON

_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

_LARGEST_AMOUNT: Final = 1e9
"""In US dollars; a sum of larger ones might not be finite."""

_NO_COST: Final[dict[str, Any]] = {"cost_usd": None, "cost_source": "unknown"}


class Meter:
    """Turns one process's running totals into what each turn used.

    Used by one thread at a time; a new process needs a new meter, since it counts from 0.
    """

    def __init__(self) -> None:
        self._models: dict[str, UsageStats] = {}
        self._cost = 0.0
        self._ahead = UsageStats()

    def answered(
        self, begun: dict[str, JSON], ended: dict[str, JSON], model: str
    ) -> list[UsageReported]:
        """Return what one answer of the model used, ahead of the turn's ``result``.

        Args:
            begun: the ``usage`` of its ``message_start``.
            ended: the ``usage`` of its ``message_delta``, whose counts replace those.
            model: the conversation's own model.
        """
        usage = tokens_of({**begun, **ended})
        if not usage.total_tokens:
            return []
        self._ahead = self._ahead + usage
        return [UsageReported(usage=usage, model=model, cost_follows=True)]

    def read(self, result: dict[str, JSON], model: str) -> list[UsageReported]:
        """Return what was used since the last ``result`` that was read.

        Args:
            result: claude's ``result`` line.
            model: the conversation's own model, reported last; ``""`` if that is not ours to say.
        """
        cost = _amount(result, "total_cost_usd")
        totals = mapping(result, "modelUsage")
        if "model_usage_since_last_result" in result:
            steps = mapping(result, "model_usage_since_last_result")
            used = {name: _counted(mapping(steps, name)) for name in steps}
        else:
            used = {name: self._since(name, _counted(mapping(totals, name))) for name in totals}
        if not used and not totals:
            used = {model: self._turns_own(mapping(result, "usage"), cost)}
        self._cost = self._cost if cost is None else cost
        return _reports(self._rest(used, model), model)

    def _rest(self, used: dict[str, UsageStats], model: str) -> dict[str, UsageStats]:
        """Take away what was reported ahead, from the conversation's own model first."""
        rest = {}
        for name in sorted(used, key=lambda name: name != model):
            both = {
                part: min(getattr(used[name], part), getattr(self._ahead, part)) for part in _COUNTS
            }
            rest[name] = _less(used[name], both)
            self._ahead = _less(self._ahead, both)
        if self._ahead.total_tokens:
            # Of an answer that was broken off claude counts nothing, so its sum is not the cost.
            rest = {name: attrs.evolve(left, **_NO_COST) for name, left in rest.items()}
        self._ahead = UsageStats()
        return rest

    def _turns_own(self, counted: dict[str, JSON], cost: float | None) -> UsageStats:
        usage = tokens_of(counted)
        if not usage.total_tokens or cost is None:
            return usage
        spent = max(0.0, cost - self._cost)
        return attrs.evolve(usage, cost_usd=spent, cost_source="reported")

    def _since(self, name: str, now: UsageStats) -> UsageStats:
        before = self._models.get(name, UsageStats(cost_usd=0.0))
        self._models[name] = now
        spent = None
        if now.cost_usd is not None and before.cost_usd is not None:
            spent = max(0.0, now.cost_usd - before.cost_usd)
        return UsageStats(
            input_tokens=max(0, now.input_tokens - before.input_tokens),
            output_tokens=max(0, now.output_tokens - before.output_tokens),
            cache_read_tokens=max(0, now.cache_read_tokens - before.cache_read_tokens),
            cache_write_tokens=max(0, now.cache_write_tokens - before.cache_write_tokens),
            reasoning_tokens=max(0, now.reasoning_tokens - before.reasoning_tokens),
            cost_usd=spent,
            cost_source="unknown" if spent is None else "reported",
        )


def _less(usage: UsageStats, counts: dict[str, int]) -> UsageStats:
    left = {name: getattr(usage, name) - less for name, less in counts.items()}
    return attrs.evolve(usage, **left)


def _reports(used: dict[str, UsageStats], model: str) -> list[UsageReported]:
    reports = [
        UsageReported(
            usage=usage,
            model=model if name == model else "",
            extra={"used_model": name} if name else {},
        )
        for name, usage in used.items()
        if usage.total_tokens or usage.cost_usd
    ]
    if not reports:
        return [UsageReported(usage=UsageStats(), model=model)] if model else []
    # The last one names the turn's model, whatever its helpers were.
    reports.sort(key=lambda report: bool(report.model))
    reports[-1] = attrs.evolve(reports[-1], model=model)
    return reports


def _counted(counted: dict[str, JSON]) -> UsageStats:
    cost = _amount(counted, "costUSD")
    return UsageStats(
        input_tokens=count(counted, "inputTokens"),
        output_tokens=count(counted, "outputTokens"),
        cache_read_tokens=count(counted, "cacheReadInputTokens"),
        cache_write_tokens=count(counted, "cacheCreationInputTokens"),
        reasoning_tokens=min(count(counted, "thinkingTokens"), count(counted, "outputTokens")),
        cost_usd=cost,
        cost_source="unknown" if cost is None else "reported",
    )


def tokens_of(counted: dict[str, JSON]) -> UsageStats:
    """Return the counts in a ``usage`` of the Messages API, which knows no cost."""
    return UsageStats(
        input_tokens=count(counted, "input_tokens"),
        output_tokens=count(counted, "output_tokens"),
        cache_read_tokens=count(counted, "cache_read_input_tokens"),
        cache_write_tokens=count(counted, "cache_creation_input_tokens"),
    )


def _amount(data: dict[str, JSON], name: str) -> float | None:
    amount = decimal(data, name)
    return amount if amount is not None and 0 <= amount < _LARGEST_AMOUNT else None
