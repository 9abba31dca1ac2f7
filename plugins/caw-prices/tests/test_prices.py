"""Prices by hand, and the names under which agents know their models.

The rates are those of genai-prices 0.2.3, in US dollars for a million tokens.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

from caw_core.usage import Price, UsageStats
from caw_prices import price_usage

BOTH = UsageStats(input_tokens=100_000, output_tokens=100_000)
HEAVY = {"genai_prices", "pydantic", "httpx2"}


def dollars(model: str, **counts: Any) -> float | None:
    price = price_usage(model, UsageStats(**counts))
    return None if price is None else price.usd


def test_anthropic_model_with_caches_costs_what_its_rates_say() -> None:
    # 3 in, 0.30 from the cache, 3.75 into it, 15 out
    by_hand = (1_000 * 3 + 10_000 * 0.3 + 2_000 * 3.75 + 500 * 15) / 1e6
    cost = dollars(
        "claude-sonnet-4-5-20250929",
        input_tokens=1_000,
        cache_read_tokens=10_000,
        cache_write_tokens=2_000,
        output_tokens=500,
        reasoning_tokens=200,
    )
    assert cost == pytest.approx(by_hand, rel=1e-12)


def test_openai_model_costs_what_its_rates_say() -> None:
    # 1.25 in, 0.125 from the cache, 10 out, reasoning being part of that
    by_hand = (1_000 * 1.25 + 4_000 * 0.125 + 300 * 10) / 1e6
    cost = dollars(
        "gpt-5-codex",
        input_tokens=1_000,
        cache_read_tokens=4_000,
        output_tokens=300,
        reasoning_tokens=100,
    )
    assert cost == pytest.approx(by_hand, rel=1e-12)


def test_cache_writes_that_have_no_rate_of_their_own_cost_what_input_costs() -> None:
    assert dollars("gpt-5", cache_write_tokens=800) == dollars("gpt-5", input_tokens=800)


def test_long_prompt_costs_what_long_prompts_cost_its_cached_part_included() -> None:
    # 2.50 in and 0.25 from the cache above 200,000 tokens, 1.25 and 0.125 below
    assert dollars("gemini-2.5-pro", input_tokens=50_000, cache_read_tokens=200_000) == (
        pytest.approx((50_000 * 2.5 + 200_000 * 0.25) / 1e6)
    )
    assert dollars("gemini-2.5-pro", input_tokens=50_000) == pytest.approx(50_000 * 1.25 / 1e6)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("gpt-5-codex", "gpt-5"),
        ("openai/gpt-5", "gpt-5"),
        ("openai/gpt-5-codex", "gpt-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-1[1m]", "claude-opus-4-1"),
        ("openrouter/openai/gpt-5", "gpt-5"),
        ("google-vertex/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google-vertex-anthropic/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("xai/grok-code-fast-1", "grok-code-fast-1"),
    ],
)
def test_model_is_known_by_the_names_that_agents_use(name: str, same: str) -> None:
    price = price_usage(name, BOTH)
    assert price is not None
    assert price == price_usage(same, BOTH)


def test_service_of_its_own_prices_is_asked_for_them() -> None:
    # Amazon's regional price is a tenth higher than Anthropic's own 3 and 15.
    model = "amazon-bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    cost = dollars(model, input_tokens=1_000, output_tokens=1_000)
    assert cost == pytest.approx(0.0198)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-999",
        "sonnet",
        "big-pickle",
        "opencode/big-pickle",
        "openai/",
        "/gpt-5",
        "litellm/openai/gpt-5",
    ],
)
def test_model_that_is_not_in_the_table_has_no_price(model: str) -> None:
    assert dollars(model, input_tokens=5) is None


@pytest.mark.parametrize(
    "model",
    [
        "gpt-oss:20b",
        "gpt-oss-20b",
        "openai/gpt-oss-20b",
        "qwen2.5-coder:7b",
        "deepseek-r1:7b",
        "ollama/llama3.2",
        "ollama/gpt-oss:20b",
        "lmstudio/openai/gpt-oss-20b",
        "openai-compatible/gpt-5",
        "my-anthropic/claude-sonnet-4-5",
        "SmolLM2-135M-Instruct",
    ],
)
def test_model_on_the_users_own_machine_has_no_price(model: str) -> None:
    assert dollars(model, input_tokens=5) is None


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        ("google/gemma-3", {"input_tokens": 5}),
        ("openrouter/deepseek/deepseek-r1:free", {"input_tokens": 5, "output_tokens": 5}),
        ("google/gemini-embedding-001", {"input_tokens": 5, "output_tokens": 5}),
    ],
)
def test_model_whose_rates_are_not_in_the_table_has_no_price_rather_than_0(
    model: str, counts: dict[str, int]
) -> None:
    assert dollars(model, **counts) is None


def test_price_says_which_table_it_is_from() -> None:
    price = price_usage("gpt-5", BOTH)
    assert isinstance(price, Price)
    assert price.table == f"genai-prices {genai_prices.__version__}"


def test_table_that_the_host_fetched_is_not_used() -> None:
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert dollars("gpt-5", input_tokens=8) == pytest.approx(1e-5)
    finally:
        set_custom_snapshot(None)


def test_table_is_read_when_the_first_price_is_asked_for() -> None:
    code = (
        "import sys, caw_prices\n"
        "from caw_core import UsageStats\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
        "caw_prices.price_usage('m', UsageStats(input_tokens=5))\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", str(sorted(HEAVY))]
