"""How the providers are: all of them at once, each for itself, in bounded time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, TypeVar

import attrs

from caw_core.bounded import call_within
from caw_core.deadlines import Deadlines
from caw_core.errors import CawError, DeadlineError, PluginError
from caw_core.health import Health, probe
from caw_core.known_plugins import KNOWN_DISTRIBUTIONS
from caw_core.plugins import AgentPlugins
from caw_core.provider import ProviderInfo, Readiness
from caw_core.registry import canonical_first, default_registry
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from caw_core.registry import PluginRecord, PluginRegistry

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds for `check_ready`, which promises to take less than one, and for importing a plugin."""

_TURN_SECONDS = 120.0

State = Literal["ready", "not ready", "broken", "blocked", "not installed"]


@attrs.frozen(kw_only=True)
class SurveyedProvider:
    """One provider.

    Attributes:
        name: what the user types.
        state: whether it can be used.
        aliases: other names of it.
        distribution: where it comes from.
        version: of the distribution.
        readiness: what it says of itself; for one that cannot say anything, what is wrong.
        info: its description, if it could be asked.
        error: why it is broken.
    """

    name: str
    state: State
    aliases: tuple[str, ...] = ()
    distribution: str = ""
    version: str = ""
    readiness: Readiness
    info: ProviderInfo = attrs.field(factory=lambda: ProviderInfo(name=""))
    error: CawError | None = attrs.field(default=None, eq=False)

    @property
    def takeable(self) -> bool:
        """Whether caw may take it by itself, and could."""
        return self.state == "ready" and self.info.auto != "never"


def check_providers(
    names: Sequence[str] | None = None,
    *,
    live: bool = False,
    model: str | None = None,
    registry: PluginRegistry | None = None,
) -> list[Health]:
    """Say how providers are: program, version, login; no network and no cost unless *live*.

    They are asked at the same time, and none takes longer than ten seconds. One that is broken is
    told as such and keeps no other from being asked.

    Args:
        names: whom to ask, by any of their names; default every installed one.
        live: also send each one that is ready a small prompt, which spends tokens, and say what
            came of it, within two minutes. A limit is told, not waited for.
        model: the model for that prompt; default each agent's own.
        registry: where the providers are.

    Returns:
        One for each provider, in the order of the names; of several names for one provider the
        first counts.

    Raises:
        UnknownProviderError: a name is of no installed provider.
    """
    registry = registry or default_registry()
    records = _chosen(registry, names)

    def check(record: PluginRecord) -> Health:
        found = _surveyed(registry, record)
        if live and found.state == "ready":
            return ask_provider(
                record.name, model=model, registry=registry, readiness=found.readiness
            )
        return Health(provider=found.info.name, readiness=found.readiness, error=found.error)

    return _at_once(check, records)


async def check_providers_async(
    names: Sequence[str] | None = None,
    *,
    live: bool = False,
    model: str | None = None,
    registry: PluginRegistry | None = None,
) -> list[Health]:
    """Do as `check_providers`."""
    return await call_in_thread(check_providers, names, live=live, model=model, registry=registry)


def ask_provider(
    name: str,
    *,
    model: str | None = None,
    registry: PluginRegistry | None = None,
    readiness: Readiness | None = None,
) -> Health:
    """Send one provider a small prompt, if it is ready; spends tokens and raises nothing.

    Args:
        name: whom to ask.
        model: the model for it; default the agent's own.
        registry: where the providers are.
        readiness: what it has just said of itself, where it was asked.
    """
    from caw_core.agent import Agent

    try:
        agent = Agent(
            name,
            model=model,
            registry=registry,
            deadlines=Deadlines(turn=_TURN_SECONDS),
            auto_wait=False,
        )
        return probe(agent, readiness) if readiness else agent.check_health(live=True)
    except Exception as cause:  # noqa: BLE001 - a plugin may fail in any way
        error = _as_error(name, cause)
        return Health(
            provider=name, readiness=Readiness(ready=False, detail=str(error)), error=error
        )


def survey(registry: PluginRegistry) -> list[SurveyedProvider]:
    """Ask every installed provider whether it is ready, and add the known ones that are missing."""
    surveyed = functools.partial(_surveyed, registry)
    installed = _at_once(surveyed, registry.records("provider"))
    names = {name for provider in installed for name in (provider.name, *provider.aliases)}
    return [*installed, *_missing(names)]


def _at_once(call: Callable[[PluginRecord], T], records: Sequence[PluginRecord]) -> list[T]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(len(records), 1), thread_name_prefix="caw-check") as pool:
        return list(pool.map(call, records))


def _chosen(registry: PluginRegistry, names: Sequence[str] | None) -> list[PluginRecord]:
    records = registry.records("provider")
    if names is None:
        return records
    by_name = {name: record for record in records for name in (record.name, *record.aliases)}
    chosen = []
    for name in [names] if isinstance(names, str) else names:
        record = by_name.get(name)
        if record is None or record.blocked:
            # It raises, and says what there is.
            registry.load_provider(name)
        elif record not in chosen:
            chosen.append(record)
    return chosen


def _surveyed(registry: PluginRegistry, record: PluginRecord) -> SurveyedProvider:
    def found(
        state: State,
        readiness: Readiness,
        info: ProviderInfo | None = None,
        error: CawError | None = None,
    ) -> SurveyedProvider:
        return SurveyedProvider(
            name=record.name,
            state=state,
            aliases=record.aliases,
            distribution=record.distribution,
            version=record.version,
            readiness=readiness,
            info=info or ProviderInfo(name=record.name),
            error=error,
        )

    def ask() -> tuple[ProviderInfo, Readiness]:
        plugins = AgentPlugins(record.name, registry.load_provider(record.name))
        return plugins.info, plugins.check_ready()

    if record.blocked:
        hint = "take it out of CAW_DISABLE_PLUGINS"
        return found("blocked", Readiness(ready=False, detail="switched off", hint=hint))
    try:
        info, readiness = call_within(_PATIENCE, "check_ready", ask, lambda _: None)
    except Exception as cause:  # noqa: BLE001 - a plugin may fail in any way
        error = _as_error(record.name, cause)
        return found("broken", Readiness(ready=False, detail=str(error)), error=error)
    return found("ready" if readiness.ready else "not ready", readiness, info)


def _as_error(name: str, cause: Exception) -> CawError:
    if isinstance(cause, DeadlineError) and cause.kind == "check_ready":
        msg = f"it did not say within {cause.seconds:g} s whether it is ready"
        return PluginError(msg, name=name)
    if isinstance(cause, CawError):
        return cause
    error = PluginError(f"{type(cause).__name__}: {cause}", name=name)
    error.__cause__ = cause
    return error


def _missing(names: set[str]) -> Iterator[SurveyedProvider]:
    known = KNOWN_DISTRIBUTIONS["provider"]
    for distribution in dict.fromkeys(known.values()):
        missing = [name for name in known if known[name] == distribution and name not in names]
        if missing:
            name, *aliases = canonical_first(missing, distribution)
            yield SurveyedProvider(
                name=name,
                state="not installed",
                aliases=tuple(aliases),
                distribution=distribution,
                readiness=Readiness(ready=False, hint=f"pip install {distribution}"),
            )
