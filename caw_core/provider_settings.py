"""An agent's settings as they count for one provider of several.

A model's name, an effort and a provider's own options are words that one provider understands.
Of several, they are the first one's; to another one goes what was given for it, and what all
understand: a `caw_core.ModelTier`, and the efforts that agents have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.provider_order import process_model
from caw_core.tools import ModelTier

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from caw_core.plugins import AgentPlugins
    from caw_core.provider_order import Entry, Model
    from caw_core.settings import Settings

_COMMON_EFFORTS = frozenset({"low", "medium", "high"})


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """What counts for one provider.

    Attributes:
        settings: the agent's settings with what is this provider's.
        left: what was given for another one and is not taken along, a sentence each.
    """

    settings: Settings
    left: tuple[str, ...] = ()


def settings_for(
    settings: Settings,
    plugins: AgentPlugins,
    order: Sequence[Entry],
    known: Callable[[], Collection[str]],
    *,
    others: bool,
) -> ProviderSettings:
    """Return the settings that count for a provider.

    Args:
        settings: the agent's.
        plugins: the provider.
        order: the providers that the agent may take.
        known: names the providers that there are; a member of the agent's ``options`` that has the
            name of one of them, and is a mapping, holds that one's own options.
        others: the settings were given for another provider than this one.
    """
    name = plugins.info.name
    left: list[str] = []
    given = dict(settings.given)
    entry = next((entry for entry in order if plugins.answers_to(entry.name)), None)
    model = given.pop("model", None)
    wanted = _model(model, entry, plugins, others=others)
    if wanted is not None:
        given["model"] = wanted
    if isinstance(model, str) and others and (entry is None or entry.model is None):
        left.append(f"the model {model!r} was not given for {name}, which uses {_word(wanted)}")
    effort = given.get("reasoning")
    if others and effort is not None and effort not in _COMMON_EFFORTS:
        del given["reasoning"]
        left.append(f"the effort {effort!r} was not given for {name}, which uses its own")
    extra, strange = _options(settings.extra, plugins, known, others=others)
    if strange:
        names = ", ".join(map(repr, strange))
        left.append(f"options that were not given for {name} have no effect there: {names}")
    return ProviderSettings(
        settings=attrs.evolve(settings, given=given, extra=extra), left=tuple(left)
    )


def _model(
    model: Model | None, entry: Entry | None, plugins: AgentPlugins, *, others: bool
) -> Model | None:
    if entry is not None and entry.model is not None:
        return entry.model
    if isinstance(model, ModelTier) or (model is not None and not others):
        return model
    return process_model(plugins)


def _word(model: Model | None) -> str:
    if isinstance(model, ModelTier):
        return f"its own of the tier {model.value!r}"
    return "its own" if model is None else repr(model)


def _options(
    given: Mapping[str, Any],
    plugins: AgentPlugins,
    known: Callable[[], Collection[str]],
    *,
    others: bool,
) -> tuple[dict[str, Any], list[str]]:
    names = known() if any(isinstance(value, Mapping) for value in given.values()) else ()
    common: dict[str, Any] = {}
    own: dict[str, Any] = {}
    strange = []
    for key, value in given.items():
        if key in names and isinstance(value, Mapping):
            if plugins.answers_to(key):
                own.update(value)
        elif others:
            strange.append(key)
        else:
            common[key] = value
    return {**common, **own}, strange
