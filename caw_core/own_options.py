"""Reading a provider's own options (``Agent(options={…})``), so that a wrong one is told early.

Which names there are is checked by the core, from `caw_core.ProviderInfo.extra_options`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def own_option(
    options: Mapping[str, Any],
    name: str,
    kind: type | tuple[type, ...],
    words: str,
    *,
    provider: str,
) -> Any:
    """Return an option, or None if it was not given.

    Args:
        options: the provider's own options.
        name: the option's name.
        kind: the type, or types, that it may have; ``bool`` counts as ``int`` only if it is named.
        words: what it is, for the message, such as ``"a path"``.
        provider: the provider's name.

    Raises:
        ConfigError: it is of another type. The value is not shown, since it may hold keys.
    """
    value = options.get(name)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    unmeant = isinstance(value, bool) and bool not in kinds
    if value is not None and (unmeant or not isinstance(value, kinds)):
        found = type(value).__name__
        msg = f"{provider}'s option {name!r} must be {words}, not {found}"
        raise ConfigError(msg)
    return value


def chosen_word(
    options: Mapping[str, Any],
    name: str,
    words: Sequence[str],
    *,
    provider: str,
) -> str:
    """Return an option that is one of *words*; the first of them if it was not given.

    Raises:
        ConfigError: it is none of them.
    """
    value = options.get(name, words[0])
    if value not in words:
        known = ", ".join(words)
        msg = f"{provider}'s option {name!r} must be one of {known}, not {value!r}"
        raise ConfigError(msg)
    return str(value)
