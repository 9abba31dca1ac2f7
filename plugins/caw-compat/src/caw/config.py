"""The models of tiers, by the wrapper's functions; nothing is fetched from a network.

The file is caw's own (``caw config path``). As long as that is not there, the wrapper's
``~/.caw/config.json`` counts.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

from caw.models import ModelTier
from caw_core import config_file, model_config
from caw_core.config_file import TIERS, ConfigFile
from caw_core.folders import caw_home as core_home
from caw_core.provider import ProviderInfo
from caw_core.registry import default_registry

__all__ = [
    "TIERS",
    "cache_path",
    "canonical_provider",
    "caw_home",
    "config_path",
    "defaults_url",
    "describe_models",
    "get_model",
    "refresh_defaults",
    "remote_defaults",
    "set_user_model",
    "unset_user_model",
]

_SOURCES: Final = {"file": "user", "provider": "baked", "": "unset"}


def caw_home() -> Path:
    """Return where the wrapper kept its things: ``CAW_HOME``, else ``~/.caw``."""
    return core_home() or Path.home() / ".caw"


def config_path() -> Path:
    """Return the file that counts."""
    own, old = config_file.config_path(), caw_home() / "config.json"
    return old if old.is_file() and not own.exists() else own


def is_wrappers() -> bool:
    """Whether the wrapper's file counts, which caw-core does not look at."""
    return config_path() != config_file.config_path()


def canonical_provider(name: str) -> str:
    """Return the name by which a provider calls itself."""
    return model_config.canonical_provider(default_registry(), name)


def get_model(provider: str, tier: ModelTier | str) -> str | None:
    """Return the model of a tier; None where nobody names one.

    Raises:
        ValueError: there is no such provider, or the file is wrong.
    """
    return (
        model_config.describe_tier(_info(provider), _word(tier), path=config_path()).model or None
    )


def set_user_model(provider: str, tier: ModelTier | str, model: str) -> None:
    """Write the model of a tier into the file."""
    file = ConfigFile.read(config_path())
    file.with_model(canonical_provider(provider), _word(tier), model).write()


def unset_user_model(provider: str, tier: ModelTier | str) -> bool:
    """Take the model of a tier out of the file; say whether it was there."""
    file, name = ConfigFile.read(config_path()), canonical_provider(provider)
    found = _word(tier) in file.models.get(name, {})
    if found:
        file.with_model(name, _word(tier), None).write()
    return found


def describe_models() -> list[dict[str, Any]]:
    """Return each provider's models: ``provider``, ``tier``, ``model``, and ``source``.

    The source is ``env:NAME``, ``user`` (the file), ``baked`` (the provider) or ``unset``.
    """
    names = [record.name for record in default_registry().records("provider") if not record.error]
    infos = [info for info in map(_info, names) if info.tiers or info.program]
    rows = []
    for found in model_config.describe_tiers(infos, path=config_path()):
        environment = found.source == "environment"
        source = f"env:{found.origin}" if environment else _SOURCES[found.source]
        row = {"provider": found.provider, "tier": found.tier, "model": found.model or None}
        rows.append({**row, "source": source})
    return rows


def defaults_url() -> str:
    """Return ``""``: nothing is fetched."""
    return ""


def cache_path() -> Path:
    """Return where the wrapper kept what it had fetched; nothing is read from there."""
    return caw_home() / "cache" / "models.json"


def remote_defaults(force: bool = False) -> dict[str, Any] | None:  # noqa: FBT001, FBT002 - the wrapper's signature
    """Return None: nothing is fetched."""
    del force
    warnings.warn(
        "models are no longer fetched; upgrade the provider's distribution, or set one with "
        "'caw config set'",
        DeprecationWarning,
        stacklevel=2,
    )
    return None


def refresh_defaults() -> dict[str, Any] | None:
    """Return None: nothing is fetched."""
    return remote_defaults(force=True)


def _word(tier: ModelTier | str) -> str:
    return tier.value if isinstance(tier, ModelTier) else tier


def _info(provider: str) -> ProviderInfo:
    from caw_core import Agent

    return Agent(provider).provider_info
