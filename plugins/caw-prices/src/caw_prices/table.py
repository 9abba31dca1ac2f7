"""The price table that genai-prices brings along, asked with caw's names and counts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import genai_prices
from genai_prices.data_snapshot import DataSnapshot

from caw_core.usage import Price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.usage import UsageStats

TABLE: Final = f"genai-prices {genai_prices.__version__}"

_MAKERS: Final = frozenset({"anthropic", "google", "openai", "x-ai"})
"""Services that a name alone, such as ``gpt-5``, can mean: only they serve these models so."""

_SERVICES: Final[Mapping[str, str]] = {
    "amazon-bedrock": "aws",
    "fireworks-ai": "fireworks",
    "google-vertex": "google",
    "google-vertex-anthropic": "google",
    "togetherai": "together",
    "xai": "x-ai",
}
"""What opencode calls services that the table calls otherwise (its providers are those of
https://models.dev)."""

_OPEN_WEIGHTS: Final = "gpt-oss"
"""OpenAI gives these models away and does not serve them; the table has others' prices for them
under ``openai``. Somebody who uses them under OpenAI's name runs them at home."""


def list_price(model: str, usage: UsageStats) -> Price | None:
    """Return what *usage* costs by the list.

    Args:
        model: ``service/model``, or the model alone if it is one of its maker's own service.
        usage: what one model call used. Some prices depend on the length of the prompt.

    Returns:
        The price; None if the table does not have exactly this service and model, or no rate for
        what was used.
    """
    prefix, slash, rest = model.partition("/")
    service = _SERVICES.get(prefix, prefix) if slash else None
    name = rest if slash else model
    try:
        found = _bundled().calc(_counts(usage), name, service, None, None)
    except LookupError:
        return None
    # The library also takes a service whose name contains a known one: "openai-compatible", which
    # is what people call a server of their own.
    if found.provider.id not in ({service} if slash else _MAKERS):
        return None
    if found.provider.id == "openai" and found.model.id.startswith(_OPEN_WEIGHTS):
        return None
    rates = found.model_price
    if rates.input_mtok is None or (usage.output_tokens and rates.output_mtok is None):
        return None
    return Price(usd=float(found.total_price), table=TABLE)


def _counts(usage: UsageStats) -> genai_prices.Usage:
    # In the library's counts the caches are part of the input, and reasoning of the output. What
    # a model has no rate of its own for is charged as the whole that it is part of.
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    return genai_prices.Usage(
        input_tokens=usage.input_tokens + cached,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )


@functools.cache
def _bundled() -> DataSnapshot:
    from genai_prices.data import providers

    # Not the library's own snapshot: the host may have let it fetch a newer one, which would not
    # be the table that we name.
    return DataSnapshot(providers=providers, from_auto_update=False)
