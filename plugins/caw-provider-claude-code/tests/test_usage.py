"""From claude's counts to what each turn used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.usage import UsageStats, UsageTally
from caw_provider_claude_code.usage import Meter

if TYPE_CHECKING:
    from caw_core.events import UsageReported


def result(**counts: Any) -> dict[str, Any]:
    return {"type": "result", **counts}


def total(reports: list[UsageReported]) -> UsageStats:
    tally = UsageTally()
    for report in reports:
        tally.add(report.usage, cost_follows=report.cost_follows)
    return tally.total


def test_cost_is_the_difference_to_the_last_turn() -> None:
    meter = Meter()
    counts = {"inputTokens": 10, "outputTokens": 5, "costUSD": 0.25}
    meter.read(result(total_cost_usd=0.25, modelUsage={"m": counts}), "m")
    more = {"inputTokens": 30, "outputTokens": 9, "costUSD": 1.0}
    [report] = meter.read(result(total_cost_usd=1.0, modelUsage={"m": more}), "m")
    usage = report.usage
    assert (usage.input_tokens, usage.output_tokens) == (20, 4)
    assert (usage.cost_usd, usage.cost_source, report.model) == (0.75, "reported", "m")


def test_model_of_a_subagent_is_not_the_turns() -> None:
    counts = {"inputTokens": 1, "outputTokens": 1, "costUSD": 0.5}
    line = result(total_cost_usd=1.0, modelUsage={"m": counts, "small": counts})
    reports = Meter().read(line, "m")
    assert [report.model for report in reports] == ["", "m"]
    assert (total(reports).total_tokens, total(reports).cost_usd) == (4, 1.0)


def test_counts_since_the_last_result_are_taken_as_they_are() -> None:
    counted = {"inputTokens": 50, "outputTokens": 22, "costUSD": 0.75}
    step = {"inputTokens": 20, "outputTokens": 7, "thinkingTokens": 3, "costUSD": 0.25}
    line = result(modelUsage={"m": counted}, model_usage_since_last_result={"m": step})
    usage = total(Meter().read(line, "m"))
    assert (usage.total_tokens, usage.reasoning_tokens, usage.cost_usd) == (27, 3, 0.25)


def test_usage_without_counts_by_model_is_the_turns_own() -> None:
    counted = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1}
    [report] = Meter().read(result(usage=counted, total_cost_usd=0.5), "m")
    assert (report.usage.total_tokens, report.usage.cost_usd, report.model) == (6, 0.5, "m")


def test_what_was_reported_ahead_is_not_counted_again() -> None:
    meter = Meter()
    begun = {"input_tokens": 10, "output_tokens": 1}
    reports = meter.answered(begun, {"output_tokens": 5}, "m")
    reports += meter.answered(begun, {"output_tokens": 7}, "m")
    own = {"inputTokens": 20, "outputTokens": 12, "costUSD": 0.5}
    # The name may differ from the conversation's, and a helper was at work as well.
    helper = {"inputTokens": 3, "outputTokens": 1, "costUSD": 0.25}
    line = result(total_cost_usd=0.75, modelUsage={"m[1m]": own, "small": helper})
    reports += meter.read(line, "m")
    assert (total(reports).input_tokens, total(reports).output_tokens) == (23, 13)
    assert (total(reports).cost_usd, total(reports).cost_source) == (0.75, "reported")


def test_answer_that_claude_does_not_count_is_not_taken_from_a_later_turn() -> None:
    meter = Meter()
    meter.answered({"input_tokens": 10}, {"output_tokens": 5}, "m")
    counts = {"inputTokens": 0, "outputTokens": 0, "costUSD": 0.0}
    meter.read(result(total_cost_usd=0.0, modelUsage={"m": counts}), "m")
    more = {"inputTokens": 4, "outputTokens": 2, "costUSD": 0.5}
    reports = meter.read(result(total_cost_usd=0.5, modelUsage={"m": more}), "m")
    assert total(reports).total_tokens == 6


def test_cost_is_unknown_where_claude_does_not_count_an_answer() -> None:
    meter = Meter()
    reports = meter.answered({"input_tokens": 10}, {"output_tokens": 5}, "m")
    assert total(reports).cost_usd is None
    helper = {"inputTokens": 3, "outputTokens": 1, "costUSD": 0.25}
    reports += meter.read(result(total_cost_usd=0.25, modelUsage={"small": helper}), "m")
    assert (total(reports).total_tokens, total(reports).cost_usd) == (15, None)
