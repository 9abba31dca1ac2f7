"""Which model a tier means for a provider, and who says so."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import attrs

from caw_core.config_file import TIERS, ConfigFile, check_model_name
from caw_core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from caw_core.provider import ProviderInfo
    from caw_core.registry import PluginRegistry
    from caw_core.tools import ModelTier


@attrs.frozen(kw_only=True)
class TierModel:
    """What a tier means.

    Attributes:
        provider: the provider's own name.
        tier: the tier's value, ``"strongest"`` or ``"fast"``.
        model: the model in the provider's words; ``""`` if nobody names one.
        source: ``environment``, ``file``, ``provider``, or ``""``.
        origin: the variable's name or the file's path, where it is one of these.
    """

    provider: str
    tier: str
    model: str = ""
    source: str = ""
    origin: str = ""


def tier_variable(provider: str, tier: str) -> str:
    """Return the variable that names the model, such as that of *provider*'s tier *tier*."""
    return re.sub(r"[^A-Z0-9]", "_", f"CAW_MODEL_{provider}_{tier}".upper())


def tier_model(
    info: ProviderInfo,
    tier: ModelTier,
    env: Mapping[str, str | None] | None = None,
) -> str:
    """Return the model that a tier means, see `describe_tier`.

    Raises:
        UnsupportedError: nobody names one.
        ConfigError: a variable or the configuration file is wrong.
    """
    found = describe_tier(info, tier.value, env)
    if not found.model:
        msg = (
            f"no model is set for the tier {tier.value!r} of provider {info.name!r}; "
            f"set one with: caw config set {info.name} {tier.value} MODEL, "
            f"or {tier_variable(info.name, tier.value)}"
        )
        raise UnsupportedError(msg, provider=info.name, options=("model",))
    return found.model


def describe_tier(
    info: ProviderInfo,
    tier: str,
    env: Mapping[str, str | None] | None = None,
    path: Path | None = None,
) -> TierModel:
    """Find the model of a tier, and who names it.

    The first of these counts: caw's variable (`tier_variable`), the agent's own variable
    (`ProviderInfo.tier_variables`), the user's configuration file, the provider. There is no
    network in it.

    Args:
        info: the provider.
        tier: the tier's value.
        env: an agent's changes to the environment.
        path: the configuration file; default the user's.

    Raises:
        ConfigError: a variable or the configuration file is wrong.
    """
    whole = {**os.environ, **(env or {})}
    names = (tier_variable(info.name, tier), info.tier_variables.get(tier, ""))
    for name in filter(None, names):
        if value := whole.get(name):
            model = _of_variable(name, value)
            return _found(info, tier, model, "environment", name)
    file = ConfigFile.read(path)
    if file.models:
        known = _names_of(info.name)
        # Its own name before others, so that what caw writes comes first.
        for name in sorted(known & set(file.models), key=lambda name: (name != info.name, name)):
            if tier in file.models[name]:
                model = file.models[name][tier]
                return _found(info, tier, model, "file", str(file.path))
    if info.tiers.get(tier):
        return _found(info, tier, info.tiers[tier], "provider")
    return TierModel(provider=info.name, tier=tier)


def describe_tiers(
    infos: Iterable[ProviderInfo],
    path: Path | None = None,
) -> list[TierModel]:
    """Find the models of all tiers of some providers, see `describe_tier`."""
    return [describe_tier(info, tier, path=path) for info in infos for tier in TIERS]


def canonical_provider(registry: PluginRegistry, name: str) -> str:
    """Return the name by which a provider calls itself, for one of its names.

    Raises:
        UnknownProviderError, AmbiguousProviderError, PluginError: as
            `caw_core.PluginRegistry.load_provider`.
    """
    from caw_core.plugins import AgentPlugins

    return AgentPlugins(name, registry.load_provider(name)).info.name


def _of_variable(name: str, value: str) -> str:
    try:
        return check_model_name(value)
    except ConfigError as error:
        msg = f"the variable {name}: {error}"
        raise ConfigError(msg) from error


def _names_of(provider: str) -> set[str]:
    # The file may call it by another of its names; to learn these, nothing is imported.
    from caw_core.registry import default_registry

    for record in default_registry().records("provider"):
        names = {record.name, *record.aliases}
        if provider in names:
            return names
    return {provider}


def _found(info: ProviderInfo, tier: str, model: str, source: str, origin: str = "") -> TierModel:
    return TierModel(provider=info.name, tier=tier, model=model, source=source, origin=origin)
