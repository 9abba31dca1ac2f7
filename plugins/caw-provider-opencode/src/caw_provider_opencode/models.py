"""The models that opencode offers, and how a name stands for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.errors import ConfigError
from caw_core.json_fields import mapping, objects, text
from caw_core.provider import ModelInfo

if TYPE_CHECKING:
    from caw_core.blocks import JSON

TIER_VARIABLES: Final = {"strongest": "OPENCODE_MODEL", "fast": "OPENCODE_SMALL_FAST_MODEL"}
"""Not opencode's own: the existing wrapper's users know them."""


def model_infos(providers: JSON, default: str) -> list[ModelInfo]:
    """Read the models out of what ``GET /config/providers`` answers.

    The answer holds keys in clear; nothing but what is returned may be kept of it.

    Args:
        providers: the answer.
        default: the model of the user's configuration, ``""`` where it names none.
    """
    found = []
    for provider in objects(providers, "providers"):
        for name, model in mapping(provider, "models").items():
            full = f"{text(provider, 'id')}/{name}"
            found.append(
                ModelInfo(
                    name=full,
                    description=text(model, "name"),
                    is_default=full == default,
                    efforts=tuple(mapping(model, "variants")),
                ),
            )
    return found


def effort_notice(providers: JSON, model: str, wanted: str) -> str:
    """Say that *model* does not know the effort *wanted*, or return ``""``.

    opencode 1.18.33 passes over a ``variant`` that the model does not have.

    Args:
        providers: what ``GET /config/providers`` answers.
        model: the model's full name.
        wanted: the effort.
    """
    for info in model_infos(providers, ""):
        if info.name == model and wanted not in info.efforts:
            efforts = ", ".join(info.efforts) or "none"
            return f"{model} has no effort {wanted!r}; it knows: {efforts}"
    return ""


def model_of(name: str | None) -> dict[str, JSON]:
    """Return the body's member for a model, empty for the agent's default.

    Raises:
        ConfigError: the name does not say which service the model belongs to.
    """
    if not name:
        return {}
    service, slash, model = name.partition("/")
    if not slash or not service or not model:
        msg = f"opencode's models are named 'provider/model', such as 'openai/gpt-5', not {name!r}"
        raise ConfigError(msg)
    return {"model": {"providerID": service, "modelID": model}}
