"""The order in which providers are tried, and the model that each of them was given.

What is named for an agent (``provider=``) comes before what `set_provider_order` set for the
process, and that before ``CAW_PROVIDER``; without any of them the first provider that is ready is
taken.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ConfigError
from caw_core.tools import ModelTier

if TYPE_CHECKING:
    from caw_core.plugins import AgentPlugins

Model = str | ModelTier
"""A model by its name, which one provider knows, or by its tier, which all may have."""

OrderItem = str | tuple[str, Model]
"""A provider's name, or its name and the model to use there."""

AUTO = "auto"


@attrs.frozen(kw_only=True)
class Entry:
    """One place in an order.

    Attributes:
        name: the provider's name, as it was given.
        model: the model that was given for it.
    """

    name: str
    model: Model | None = None


class _ProcessOrder:
    """The process's order; replaced as a whole, so that no reader sees half of a change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: tuple[Entry, ...] = ()
        self._models: dict[str, Model] = {}

    def set(self, entries: tuple[Entry, ...], models: Mapping[str, Model]) -> None:
        with self._lock:
            self._entries, self._models = entries, dict(models)

    def get(self) -> tuple[tuple[Entry, ...], dict[str, Model]]:
        with self._lock:
            return self._entries, dict(self._models)


_process = _ProcessOrder()


def set_provider_order(
    order: Sequence[OrderItem] | None,
    *,
    models: Mapping[str, Model] | None = None,
) -> None:
    """Set the order of providers for all agents of this process that name none.

    An agent reads it when it first needs its provider. A model that is given here is used
    wherever that provider is taken and the agent has no model of its own for it.

    Args:
        order: providers, the first one to be tried first, each a name or ``(name, model)``; None or
            an empty one takes the order away, its models too.
        models: models by the provider's name, over those in *order*; a name or a `ModelTier`.

    Raises:
        ConfigError: something in it is no name, no model, or there twice.
    """
    entries = read_order(order) if order is not None and order != "" else ()
    if not entries:
        _process.set((), {})
        return
    given = {entry.name: entry.model for entry in entries if entry.model is not None}
    for name, model in (models or {}).items():
        if model is not None:
            given[_name(name)] = _model(name, model)
    _process.set(entries, given)


def get_provider_order() -> list[str] | None:
    """Return the names that `set_provider_order` set, in order; None if there are none."""
    entries, _ = _process.get()
    return [entry.name for entry in entries] or None


def get_provider_models() -> dict[str, Model]:
    """Return the models that `set_provider_order` set, by the provider's name."""
    return _process.get()[1]


def read_order(given: str | Sequence[OrderItem] | None) -> tuple[Entry, ...]:
    """Return what an agent was given as its provider; empty for ``"auto"`` and None.

    Raises:
        ConfigError: it is no order.
    """
    if given is None or given == AUTO:
        return ()
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, Sequence) or not items:
        msg = f"provider is a name, several names or None, not {given!r}"
        raise ConfigError(msg)
    entries = tuple(_entry(item) for item in items)
    names = [entry.name for entry in entries]
    if names == [AUTO]:
        return ()
    if AUTO in names:
        msg = f"{AUTO!r} stands alone: it is not one provider of several"
        raise ConfigError(msg)
    if len(set(names)) < len(names):
        msg = f"the order of providers names one twice: {', '.join(names)}"
        raise ConfigError(msg)
    return entries


def wanted_order(given: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the order that counts for an agent that was given *given*; empty for no order."""
    if given:
        return given
    entries, _ = _process.get()
    if entries:
        return entries
    names = [name.strip() for name in os.environ.get("CAW_PROVIDER", "").split(",")]
    return read_order(list(dict.fromkeys(filter(None, names))) or None)


def process_model(plugins: AgentPlugins) -> Model | None:
    """Return the model that `set_provider_order` names for a provider, under any of its names."""
    models = _process.get()[1]
    return next((model for name, model in models.items() if plugins.answers_to(name)), None)


def _entry(item: object) -> Entry:
    if isinstance(item, tuple | list):
        if len(item) != 2:  # noqa: PLR2004 - a pair
            msg = f"in an order of providers, a model is given as (name, model), not {item!r}"
            raise ConfigError(msg)
        name, model = item
        return Entry(name=_name(name), model=None if model is None else _model(name, model))
    return Entry(name=_name(item))


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        msg = f"provider is a name, several names or None; {name!r} is no name"
        raise ConfigError(msg)
    return name


def _model(name: str, model: object) -> Model:
    if isinstance(model, ModelTier) or (isinstance(model, str) and model):
        return model
    msg = f"the model for provider {name!r} is a name or a ModelTier, not {model!r}"
    raise ConfigError(msg)
