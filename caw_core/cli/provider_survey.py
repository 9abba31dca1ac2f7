"""What is known of every provider: those installed, and those that could be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from caw_core.bounded import call_within
from caw_core.errors import CawError
from caw_core.known_plugins import KNOWN_DISTRIBUTIONS
from caw_core.plugins import AgentPlugins
from caw_core.provider import ProviderInfo, Readiness
from caw_core.registry import canonical_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.registry import PluginRecord, PluginRegistry

_PATIENCE = 10.0
"""Seconds for `check_ready`, which promises to take less than one."""

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
    """

    name: str
    state: State
    aliases: tuple[str, ...] = ()
    distribution: str = ""
    version: str = ""
    readiness: Readiness
    info: ProviderInfo = attrs.field(factory=lambda: ProviderInfo(name=""))

    @property
    def takeable(self) -> bool:
        """Whether caw may take it by itself, and could."""
        return self.state == "ready" and self.info.auto != "never"


def survey(registry: PluginRegistry) -> list[SurveyedProvider]:
    """Ask every installed provider whether it is ready, and add the known ones that are missing."""
    installed = [_surveyed(registry, record) for record in registry.records("provider")]
    names = {name for provider in installed for name in (provider.name, *provider.aliases)}
    return [*installed, *_missing(names)]


def _surveyed(registry: PluginRegistry, record: PluginRecord) -> SurveyedProvider:
    def found(
        state: State,
        readiness: Readiness,
        info: ProviderInfo | None = None,
    ) -> SurveyedProvider:
        return SurveyedProvider(
            name=record.name,
            state=state,
            aliases=record.aliases,
            distribution=record.distribution,
            version=record.version,
            readiness=readiness,
            info=info or ProviderInfo(name=record.name),
        )

    if record.blocked:
        hint = "take it out of CAW_DISABLE_PLUGINS"
        return found("blocked", Readiness(ready=False, detail="switched off", hint=hint))
    try:
        plugins = AgentPlugins(record.name, registry.load_provider(record.name))
        info = plugins.info
        readiness = call_within(_PATIENCE, "check_ready", plugins.check_ready, lambda _: None)
    except CawError as error:
        return found("broken", Readiness(ready=False, detail=str(error)))
    except Exception as error:  # noqa: BLE001 - a plugin may fail in any way
        detail = f"{type(error).__name__}: {error}"
        return found("broken", Readiness(ready=False, detail=detail))
    return found("ready" if readiness.ready else "not ready", readiness, info)


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
