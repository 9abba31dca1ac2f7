"""The plugins that an agent works with: its provider, chosen when first needed, and its records."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.opening import SessionOpener
from caw_core.plugins import AgentPlugins
from caw_core.provider_order import AUTO, Entry, read_order, wanted_order
from caw_core.provider_settings import ProviderSettings, settings_for
from caw_core.record_plugins import RecordPlugins
from caw_core.selection import Candidates, first_ready
from caw_core.settings import Settings, check_model
from caw_core.store import Store, named_storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caw_core.provider_order import Model, OrderItem
    from caw_core.registry import PluginRegistry
    from caw_core.selection import Choice


class ChosenPlugins:
    """One agent's plugins, loaded when they are first needed.

    Args:
        registry: where they are found.
        wanted: the provider, as `caw_core.Agent` takes it.
        settings: the agent's settings.

    Raises:
        ConfigError: *wanted* is no provider and no order, the one provider that is named does not
            exist, or a tool in Python is badly defined.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        wanted: str | Sequence[OrderItem] | None,
        settings: Settings,
    ) -> None:
        self.wanted = wanted
        self._given = read_order(wanted)
        self._registry = registry
        self._settings = settings
        self._by_provider: dict[str, AgentPlugins] = {}
        if settings.python_tools:
            observers = RecordPlugins(observers=registry.load_observers())
            observers.check_tools(settings.python_tools)
        for spec in settings.python_tools.subagents:
            # Likewise, what is wrong with one is told here.
            ChosenPlugins(registry, spec.provider, Settings.checked(spec.agent_options()))
        if isinstance(wanted, str) and wanted not in {AUTO, *registry.names("provider")}:
            # A name that nothing answers to is told here, not when the first session opens.
            registry.load_provider(wanted)

    def beside(self, wanted: str | Sequence[OrderItem], settings: Settings) -> ChosenPlugins:
        """Return the plugins of another agent that finds its own where this one does."""
        return ChosenPlugins(self._registry, wanted, settings)

    @property
    def name(self) -> str | None:
        """The provider's canonical name; None as long as it is not chosen."""
        return self.chosen.info.name if "chosen" in vars(self) else None

    @functools.cached_property
    def chosen(self) -> AgentPlugins:
        """The provider that a new session is opened with, and the records."""
        return self.taken(self.choice)

    @functools.cached_property
    def choice(self) -> Choice:
        """What was chosen, and what was passed over for it."""
        return first_ready(self._registry, self.order, self._settings)

    @functools.cached_property
    def order(self) -> tuple[Entry, ...]:
        """The providers that count for this agent, in order; empty for no order."""
        return wanted_order(self._given)

    def after_the_chosen(self) -> Candidates:
        """Return the providers that come after the chosen one; none if only it was named."""
        return Candidates(self._registry, self.order, self._settings, after=self.choice.name)

    def of(self, provider: str) -> AgentPlugins:
        """Return the plugins for a session of *provider*, as its handle or record names it."""
        if isinstance(self.wanted, str) and self.wanted != AUTO:
            return self.chosen
        return self.named(provider)

    def named(self, provider: str) -> AgentPlugins:
        """Return the plugins for sessions of *provider*, whether this agent would take it or not.

        Raises:
            UnknownProviderError: there is none of that name.
            PluginError: it is broken.
        """
        for plugins in self._by_provider.values():
            if plugins.answers_to(provider):
                return plugins
        return self._add(provider, self._registry.load_provider(provider))

    @property
    def installed(self) -> list[str]:
        """The names of all providers that are there and not blocked; some may be broken."""
        records = self._registry.records("provider")
        return [record.name for record in records if not record.blocked]

    def taken(self, choice: Choice) -> AgentPlugins:
        """Return the plugins with the provider that was chosen."""
        return self._by_provider.get(choice.name) or self._add(choice.name, choice.plugin)

    def settings_for(
        self,
        plugins: AgentPlugins,
        *,
        others: bool | None = None,
        model: Model | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProviderSettings:
        """Return the agent's settings as they count for a provider.

        Args:
            plugins: the provider.
            others: the settings were given for another one; by default if there is an order in
                which it does not come first.
            model: the model to use there, whatever the agent was given.
            options: the provider's own options, over those that the agent was given.
        """
        if others is None:
            others = bool(self.order) and not plugins.answers_to(self.order[0].name)
        order = self.order
        if model is not None:
            entry = Entry(name=plugins.provider_name, model=check_model(model))
            order = (*(item for item in order if not plugins.answers_to(item.name)), entry)
        known = functools.partial(self._registry.names, "provider")
        own = settings_for(self._settings, plugins, order, known, others=others)
        if not options:
            return own
        extra = {**own.settings.extra, **options}
        return attrs.evolve(own, settings=attrs.evolve(own.settings, extra=extra))

    def opener(self, plugins: AgentPlugins, given: ProviderSettings | None = None) -> SessionOpener:
        """Return what opens sessions of a provider, with the settings that count for it."""
        return SessionOpener(plugins, given or self.settings_for(plugins), self)

    def _add(self, name: str, plugin: object) -> AgentPlugins:
        self._by_provider[name] = AgentPlugins(name, plugin, **self._records)
        return self._by_provider[name]

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
