"""Which provider an agent takes when it is not told one."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import CawError, NotReadyError, UnknownProviderError
from caw_core.plugins import AgentPlugins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caw_core.registry import PluginRegistry

log = logging.getLogger("caw.agent")


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
    passed_over: tuple[str, ...] = ()


def choose_provider(
    registry: PluginRegistry,
    wanted: str | Sequence[str] | None,
    env: Mapping[str, str | None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Choice:
    """Return the provider to use.

    One name is taken as it is. Of several, the first that is ready is taken. Without any,
    ``CAW_PROVIDER`` (a comma list) is the order, else every installed provider that may be taken
    unasked, those marked as fallback last.

    Args:
        registry: where the providers are.
        wanted: a name, several, or None.
        env: the agent's changes to the environment, in which a program may be found or not.
        options: the provider's own options.

    Raises:
        UnknownProviderError: there is nothing to choose from.
        NotReadyError: none of several is ready; the message says why for each.
        PluginError: the one that was named is broken.
    """
    order = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if order in ([], ["auto"]):
        variable = os.environ.get("CAW_PROVIDER", "")
        order = [name.strip() for name in variable.split(",") if name.strip()]
    if len(order) == 1:
        return Choice(name=order[0], plugin=registry.load_provider(order[0]))
    problems: list[str] = []
    candidates = _named(registry, order, problems) if order else _takeable(registry, problems)
    for name, plugin in candidates:
        try:
            readiness = AgentPlugins(name, plugin).check_ready(env, options)
        except Exception as error:
            # A provider that cannot even say whether it is ready is not.
            log.warning("provider %r failed in check_ready", name, exc_info=True)
            problems.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if readiness.ready:
            log.info("taking provider %r: %s", name, readiness.detail or "ready")
            return Choice(name=name, plugin=plugin, passed_over=tuple(problems))
        detail, hint = readiness.detail or "not ready", readiness.hint
        problems.append(f"{name}: {detail}" if hint in detail else f"{name}: {detail}. {hint}")
    if not candidates and not problems:
        hint = "Install one, e.g.: pip install caw-core[local]"
        name = "auto"
        raise UnknownProviderError(name, known=registry.names("provider"), hint=hint)
    msg = "no provider is ready. " + "; ".join(problems)
    raise NotReadyError(msg)


def _named(
    registry: PluginRegistry,
    order: list[str],
    problems: list[str],
) -> list[tuple[str, object]]:
    found = []
    for name in order:
        try:
            found.append((name, registry.load_provider(name)))
        except CawError as error:
            # The order says what to do when the first cannot be had.
            problems.append(f"{name}: {error}")
    return found


def _takeable(registry: PluginRegistry, problems: list[str]) -> list[tuple[str, object]]:
    ranked = []
    for record in registry.records("provider"):
        if record.blocked:
            continue
        try:
            plugin = registry.load_provider(record.name)
            auto = AgentPlugins(record.name, plugin).info.auto
        except Exception as error:  # noqa: BLE001 - one broken plugin must not disable the others
            log.warning("provider %r is left out: %s", record.name, error)
            problems.append(f"{record.name}: {error}")
            continue
        if auto != "never":
            ranked.append((auto == "fallback", record.name, plugin))
    return [(name, plugin) for _, name, plugin in sorted(ranked, key=lambda item: item[:2])]
