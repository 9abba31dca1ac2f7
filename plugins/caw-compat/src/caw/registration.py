"""Which providers there are, as the wrapper names and offers them."""

from __future__ import annotations

import contextlib
import threading
import warnings
from typing import TYPE_CHECKING, Final

from caw.provider import Provider
from caw.providers import CoreProvider
from caw.providers.claude_code import ClaudeCodeProvider
from caw.providers.codex import CodexProvider
from caw.providers.opencode import OpencodeProvider
from caw_core.errors import CawError, UnknownProviderError
from caw_core.registry import Registration, default_registry

if TYPE_CHECKING:
    from caw.models import Trajectory

DEFAULT_PROVIDER: Final = "claude_code"

_BUILT_IN: Final[dict[str, type[Provider]]] = {
    "claude_code": ClaudeCodeProvider,
    "claude": ClaudeCodeProvider,
    "cc": ClaudeCodeProvider,
    "codex": CodexProvider,
    "opencode": OpencodeProvider,
}

_lock = threading.Lock()
_registered: dict[str, type[Provider]] = {}


def register_provider(name: str, cls: object) -> Registration:
    """Offer a provider under a name, in the place of whatever had it.

    Args:
        name: what users type.
        cls: a class derived from `caw.Provider`, or a provider for `caw_core.hookspecs`.

    Returns:
        What undoes it; the wrapper returned nothing.

    Raises:
        ValueError: the name is none.
    """
    from caw.adapted import AdaptedProvider

    registry = default_registry()
    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        return registry.register_provider(name, cls, replace=True)
    if cls in _BUILT_IN.values() and issubclass(cls, CoreProvider):
        plugin = registry.load_provider(cls.core_name)
    else:
        plugin = AdaptedProvider(cls())
        warnings.warn(
            f"{cls.__name__}: a provider for caw_core.hookspecs can do more, such as interrupts; "
            "see docs/tutorial/write-a-provider.md",
            DeprecationWarning,
            stacklevel=2,
        )
    registration = registry.register_provider(name, plugin, replace=True)
    with _lock:
        _registered[name] = cls
    return registration


def known_providers() -> list[tuple[str, Provider]]:
    """Return each provider that drives a program, once, under the first of its names.

    The wrapper's own three come first.
    """
    with _lock:
        classes = {**_BUILT_IN, **_registered}
    first_names = {cls: name for name, cls in reversed(classes.items())}
    found: list[tuple[str, Provider]] = [
        (name, cls()) for name, cls in classes.items() if first_names[cls] == name
    ]
    for record in default_registry().records("provider"):
        provider = CoreProvider(record.name)
        if not record.blocked and not {record.name, *record.aliases} & {*classes}:
            # A broken plugin is told of by 'caw doctor', and hides no other.
            with contextlib.suppress(CawError):
                if provider.info.program:
                    found.append((record.name, provider))
    return found


def installed_providers() -> list[tuple[str, Provider]]:
    """Return those whose program is here, as ``(name, provider)``; no network, no login checked."""
    return [(name, provider) for name, provider in known_providers() if provider.find_binary()]


def resolve_provider(name: str) -> Provider:
    """Return the provider of that name.

    Raises:
        ValueError: there is none; the message names those that there are.
    """
    with _lock:
        cls = {**_BUILT_IN, **_registered}.get(name)
    if cls is not None:
        return cls()
    names = default_registry().names("provider")
    if name not in names:
        raise UnknownProviderError(name, known=names)
    return CoreProvider(name)


def resume_key_of(trajectory: Trajectory) -> str | None:
    """Return what resumes a stored conversation; None if the record does not hold it."""
    return resolve_provider(trajectory.agent).resume_key_from_trajectory(trajectory)
