"""The plugins that an agent works with: its provider, chosen when first needed, and its records."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from caw_core.plugins import AgentPlugins, RecordPlugins
from caw_core.selection import choose_provider
from caw_core.store import Store, named_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.registry import PluginRegistry
    from caw_core.settings import Settings


class ChosenPlugins:
    """One agent's plugins, loaded when they are first needed.

    Args:
        registry: where they are found.
        wanted: the provider, as `caw_core.Agent` takes it.
        settings: the agent's settings.

    Raises:
        ConfigError: the one provider that is named does not exist.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        wanted: str | Sequence[str] | None,
        settings: Settings,
    ) -> None:
        self.wanted = wanted
        self._registry = registry
        self._settings = settings
        self._by_provider: dict[str, AgentPlugins] = {}
        if isinstance(wanted, str) and wanted not in {"auto", *registry.names("provider")}:
            # A name that nothing answers to is told here, not when the first session opens.
            registry.load_provider(wanted)

    @property
    def name(self) -> str | None:
        """The provider's canonical name; None as long as it is not chosen."""
        return self.chosen.info.name if "chosen" in vars(self) else None

    @functools.cached_property
    def chosen(self) -> AgentPlugins:
        """The provider that a new session is opened with, and the records."""
        choice = choose_provider(
            self._registry,
            self.wanted,
            self._settings.given.get("env", {}),
            self._settings.extra,
        )
        plugins = AgentPlugins(choice.name, choice.plugin, **self._records)
        self._by_provider[choice.name] = plugins
        return plugins

    def of(self, provider: str) -> AgentPlugins:
        """Return the plugins for a session of *provider*, as its handle or record names it."""
        if isinstance(self.wanted, str) and self.wanted != "auto":
            return self.chosen
        for plugins in self._by_provider.values():
            if plugins.answers_to(provider):
                return plugins
        plugin = self._registry.load_provider(provider)
        self._by_provider[provider] = AgentPlugins(provider, plugin, **self._records)
        return self._by_provider[provider]

    @functools.cached_property
    def store(self) -> Store:
        """The agent's records."""
        return Store.of(RecordPlugins(**self._records))

    @functools.cached_property
    def _records(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "storages": [named_storage(self._registry, item) for item in settings.storage],
            "mirrors": [named_storage(self._registry, item) for item in settings.mirrors],
            "observers": self._registry.load_observers(),
            "retry": settings.storage_retry,
        }
