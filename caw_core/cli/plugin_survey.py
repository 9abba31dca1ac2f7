"""What is known of every plugin of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import attrs

from caw_core.errors import AmbiguousProviderError, PluginError
from caw_core.plugin_check import implementations
from caw_core.registry import Kind, PluginRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.registry import PluginRegistry


@attrs.frozen(kw_only=True)
class SurveyedPlugin:
    """One plugin.

    Attributes:
        record: what is known without importing it.
        hooks: the hooks that it implements; of a storage that a function opens, none are known.
        problem: what is wrong with it, ``""`` for nothing.
    """

    record: PluginRecord
    hooks: tuple[str, ...] = ()
    problem: str = ""

    @property
    def state(self) -> str:
        """``ok``, ``broken`` or ``blocked``."""
        if self.record.blocked:
            return "blocked"
        return "broken" if self.problem else "ok"

    def document(self) -> dict[str, Any]:
        """Return everything known, JSON-ready."""
        return {
            "type": "plugin",
            "kind": self.record.kind,
            "name": self.record.name,
            "aliases": list(self.record.aliases),
            "distribution": self.record.distribution,
            "version": self.record.version,
            "state": self.state,
            "hooks": list(self.hooks),
            "problem": self.problem,
        }


def survey_plugins(registry: PluginRegistry, *kinds: Kind) -> Iterator[SurveyedPlugin]:
    """Import and check every plugin of *kinds*, by default of all, each by itself.

    A storage is imported and not opened: that needs a URL.
    """
    for kind in kinds or get_args(Kind):
        observers = dict(registry.load_observers()) if kind == "observer" else {}
        for record in registry.records(kind):
            yield _surveyed(registry, record, observers)


def _surveyed(
    registry: PluginRegistry,
    record: PluginRecord,
    observers: dict[str, object],
) -> SurveyedPlugin:
    if record.blocked:
        return SurveyedPlugin(record=record)
    if record.error is not None:
        return SurveyedPlugin(record=record, problem=str(record.error))
    try:
        plugin: object
        if record.kind == "provider":
            plugin = registry.load_provider(record.name)
        elif record.kind == "storage":
            plugin = registry.import_plugin("storage", record.name)
        else:
            plugin = observers.get(record.name)
    except (PluginError, AmbiguousProviderError) as error:
        return SurveyedPlugin(record=record, problem=str(error))
    hooks = sorted(name for name, _ in implementations(plugin))
    return SurveyedPlugin(record=record, hooks=tuple(hooks))
