"""The models that claude lists when it is greeted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.errors import ConfigError
from caw_core.json_fields import objects, strings, text
from caw_core.provider import ModelInfo

if TYPE_CHECKING:
    from caw_core.blocks import JSON

DEFAULT: Final = "default"
"""Claude's word for the model that it takes by itself."""

TIERS: Final = {"strongest": "opus", "fast": "haiku"}
"""Claude's own aliases; they stay while the models behind them change."""

TIER_VARIABLES: Final = {
    "strongest": "ANTHROPIC_MODEL",
    "fast": "ANTHROPIC_SMALL_FAST_MODEL",
}
"""Claude Code's variables for the model that it works with, and the one for small things."""


def offered_models(greeting: dict[str, JSON]) -> list[ModelInfo]:
    """Return the models in claude's answer to ``initialize``."""
    return [
        ModelInfo(
            name=text(model, "value"),
            description=text(model, "description") or text(model, "displayName"),
            is_default=text(model, "value") == DEFAULT,
            efforts=tuple(strings(model, "supportedEffortLevels")),
        )
        for model in objects(greeting, "models")
        if text(model, "value")
    ]


def check_effort(models: list[ModelInfo], effort: str | None) -> None:
    """Check an effort against what claude's models know.

    Raises:
        ConfigError: no model knows it; claude would silently take its default.
    """
    levels = {level for model in models for level in model.efforts}
    if effort and levels and effort not in levels:
        msg = f"claude has no effort {effort!r}; it has: {', '.join(sorted(levels))}"
        raise ConfigError(msg)
