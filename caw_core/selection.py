"""Which provider an agent takes, and which one comes after it."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError, NotReadyError, UnknownProviderError
from caw_core.plugins import AgentPlugins
from caw_core.provider_settings import settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core.provider_order import Entry
    from caw_core.registry import PluginRegistry
    from caw_core.settings import Settings

log = logging.getLogger("caw.agent")


@attrs.frozen(kw_only=True)
class PassedOver:
    """A provider that was not taken, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Say both."""
        return f"{self.name}: {self.reason}"


@attrs.frozen(kw_only=True)
class Choice:
    """The provider that was taken.

    Attributes:
        name: the name under which it was found.
        plugin: the provider itself.
        passed_over: those that were looked at before it, each with the reason, in order.
    """

    name: str
    plugin: object
    passed_over: tuple[PassedOver, ...] = ()


class Candidates:
    """The providers that an agent may take, each looked at when it is its turn.

    Args:
        registry: where the providers are.
        order: those to be taken, in order; empty for every installed one that may be taken
            unasked, those marked as fallback last.
        settings: the agent's.
        after: the name of the one behind which to begin; ``""`` for all.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        order: Sequence[Entry],
        settings: Settings,
        *,
        after: str = "",
    ) -> None:
        self._registry = registry
        self._order = tuple(order)
        self._settings = settings
        self._after = after
        self._passed_over: list[PassedOver] = []
        self._found = self._all()

    def next(self) -> Choice | None:
        """Return the next one that is ready; None if there is none."""
        for name, plugin in self._found:
            reason = self._why_not(name, plugin)
            if reason is None:
                passed_over, self._passed_over = self._passed_over, []
                return Choice(name=name, plugin=plugin, passed_over=tuple(passed_over))
            self._passed_over.append(PassedOver(name=name, reason=reason))
        return None

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Those that were looked at since the last one that `next` returned."""
        return tuple(self._passed_over)

    def _all(self) -> Iterator[tuple[str, object]]:
        found = self._named() if self._order else iter(self._takeable())
        if self._after:
            for name, _ in found:
                if name == self._after:
                    break
            self._passed_over.clear()
        yield from found

    def _why_not(self, name: str, plugin: object) -> str | None:
        try:
            plugins = AgentPlugins(name, plugin)
            others = bool(self._order) and name != self._order[0].name
            own = settings_for(
                self._settings,
                plugins,
                self._order,
                functools.partial(self._registry.names, "provider"),
                others=others,
            ).settings
            readiness = plugins.check_ready(own.given.get("env", {}), own.extra)
        except Exception as error:
            # A provider that cannot even say whether it is ready is not.
            log.warning("provider %r failed in check_ready", name, exc_info=True)
            return f"{type(error).__name__}: {error}"
        if readiness.ready:
            log.info("taking provider %r: %s", name, readiness.detail or "ready")
            return None
        detail, hint = readiness.detail or "not ready", readiness.hint
        return detail if hint in detail else f"{detail}. {hint}"

    def _named(self) -> Iterator[tuple[str, object]]:
        for entry in self._order:
            try:
                plugin = self._registry.load_provider(entry.name)
            except CawError as error:
                # The order says what to do when the first cannot be had.
                self._passed_over.append(PassedOver(name=entry.name, reason=str(error)))
            else:
                yield entry.name, plugin

    def _takeable(self) -> list[tuple[str, object]]:
        ranked = []
        for record in self._registry.records("provider"):
            if record.blocked:
                continue
            try:
                plugin = self._registry.load_provider(record.name)
                auto = AgentPlugins(record.name, plugin).info.auto
            except Exception as error:  # noqa: BLE001 - one broken plugin must not disable the others
                log.warning("provider %r is left out: %s", record.name, error)
                self._passed_over.append(PassedOver(name=record.name, reason=str(error)))
                continue
            if auto != "never":
                ranked.append((auto == "fallback", record.name, plugin))
        return [(name, plugin) for _, name, plugin in sorted(ranked, key=lambda item: item[:2])]


def first_ready(registry: PluginRegistry, order: Sequence[Entry], settings: Settings) -> Choice:
    """Return the provider to use.

    One name is taken as it is. Of several, the first that is ready is taken. Without any, the first
    of those that may be taken unasked, those marked as fallback last.

    Args:
        registry: where the providers are.
        order: the providers to be taken, in order.
        settings: the agent's: its environment and options decide what is ready.

    Raises:
        UnknownProviderError: there is nothing to choose from.
        NotReadyError: none of several is ready; the message says why for each.
        PluginError: the one that was named is broken.
    """
    if len(order) == 1:
        return Choice(name=order[0].name, plugin=registry.load_provider(order[0].name))
    candidates = Candidates(registry, order, settings)
    choice = candidates.next()
    if choice is not None:
        return choice
    if not candidates.passed_over:
        hint = "Install one, e.g.: pip install caw-core[local]"
        name = "auto"
        raise UnknownProviderError(name, known=registry.names("provider"), hint=hint)
    msg = "no provider is ready. " + "; ".join(map(str, candidates.passed_over))
    raise NotReadyError(msg)
