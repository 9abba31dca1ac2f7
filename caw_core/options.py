"""What a provider makes of the options that the caller gave."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.provider import OptionSupport
from caw_core.trajectory import ResolvedOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caw_core.provider import ProviderInfo

EMULATED_BY_CORE = {
    "max_turns": OptionSupport(
        support="emulated",
        how="caw counts the model calls that the agent reports and ends the turn",
    ),
}

RESTRICTIONS = frozenset({"permissions", "tools"})
"""A restriction that is not kept is power given in silence, so it is never passed over."""

UNSUPPORTED = OptionSupport(support="unsupported", how="the provider has no such option")


def unknown_option(names: Iterable[str], known: Iterable[str], *, of: str) -> ConfigError:
    """Return the error that names the unknown options, what may have been meant, and all known."""
    known = sorted(known)
    said = []
    for name in sorted(names):
        close = difflib.get_close_matches(name, known, n=1)
        said.append(f"{name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
    listing = ", ".join(known) or "none"
    return ConfigError(f"{of} has no option {', '.join(said)}; it has: {listing}")


def without_effect(provider: str, options: Iterable[ResolvedOption]) -> list[str]:
    """Return a sentence for each option that *provider* does not honour."""
    return [
        f"{option.name} has no effect with {provider}: {option.how}"
        for option in options
        if option.support == "unsupported"
    ]


def resolve_options(
    info: ProviderInfo,
    given: Mapping[str, Any],
    extra: Mapping[str, Any],
    *,
    strict: bool,
) -> tuple[ResolvedOption, ...]:
    """Say for each given option how the provider treats it, before anything is started.

    Args:
        info: the provider.
        given: the options of `caw_core.Agent` that the caller set.
        extra: the provider's own options that the caller set.
        strict: refuse options that would have no effect.

    Returns:
        One entry per given option, in order.

    Raises:
        ConfigError: *extra* holds an option that the provider does not know.
        UnsupportedError: one of `RESTRICTIONS` cannot be honoured, or anything with *strict*.
    """
    strangers = set(extra) - set(info.extra_options)
    if strangers:
        raise unknown_option(strangers, info.extra_options, of=f"the provider {info.name!r}")
    resolved = []
    for name in given:
        support = info.options.get(name) or EMULATED_BY_CORE.get(name, UNSUPPORTED)
        resolved.append(ResolvedOption(name=name, support=support.support, how=support.how))
    lost = [option for option in resolved if option.support == "unsupported"]
    fatal = [option for option in lost if strict or option.name in RESTRICTIONS]
    if fatal:
        listing = "; ".join(f"{option.name}: {option.how}" for option in fatal)
        msg = f"the provider {info.name!r} cannot honour {listing}"
        raise UnsupportedError(
            msg,
            provider=info.name,
            options=[option.name for option in fatal],
        )
    resolved += [ResolvedOption(name=name, support="native") for name in extra]
    return tuple(resolved)
