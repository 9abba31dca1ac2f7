"""Where on this machine things for containers lie, and whose credentials are meant."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core.errors import NotReadyError, UnsupportedError
from caw_core.folders import user_data_dir
from caw_core.plugins import AgentPlugins
from caw_core.process.environment import child_environment
from caw_core.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from caw_core.credentials.declared import ContainerCredentials, CredentialFile
    from caw_core.registry import PluginRegistry

log = logging.getLogger("caw.credentials")


def credentials_folder() -> Path:
    """Return what `setup` fills: ``CAW_AUTH_DIR``, else ``auth`` in caw's folder for data."""
    named = os.environ.get("CAW_AUTH_DIR", "").strip()
    return Path(named).expanduser().absolute() if named else user_data_dir() / "auth"


def declared_credentials(
    names: Sequence[str] | None,
    env: Mapping[str, str | None] | None,
    registry: PluginRegistry | None,
) -> dict[str, ContainerCredentials]:
    """Ask providers what a container needs.

    Args:
        names: whom; None for every installed one that can say, leaving out those that fail.
        env: changes to the environment.
        registry: where the providers are.

    Returns:
        By the provider's own name, each once.

    Raises:
        UnknownProviderError, PluginError: one that was named is not there, or broken.
        UnsupportedError: one that was named cannot say.
    """
    registry = registry or default_registry()
    found: dict[str, ContainerCredentials] = {}
    if names is not None:
        for name in [names] if isinstance(names, str) else names:
            plugins = AgentPlugins(name, registry.load_provider(name))
            declared = plugins.container_credentials(env)
            if declared is None:
                msg = f"the provider {name!r} does not say what a container needs to be logged in"
                raise UnsupportedError(msg, provider=name)
            found[plugins.info.name] = declared
        return found
    for record in registry.records("provider"):
        if record.blocked:
            continue
        try:
            plugins = AgentPlugins(record.name, registry.load_provider(record.name))
            declared = plugins.container_credentials(env)
        except Exception as error:  # noqa: BLE001 - one broken plugin must not disable the others
            log.warning("provider %r is left out: %s", record.name, error)
            continue
        if declared is not None:
            found[plugins.info.name] = declared
    return found


def set_variables(
    credentials: ContainerCredentials, env: Mapping[str, str | None] | None
) -> list[str]:
    """Return the names of those variables of a provider that are set."""
    whole = child_environment(env or {})
    return [name for name in credentials.variables if whole.get(name)]


def has_credentials(
    credentials: ContainerCredentials, env: Mapping[str, str | None] | None
) -> bool:
    """Tell whether there is a login or a key of a provider."""
    logins = any(not file_problem(file) for file in credentials.files)
    return logins or bool(set_variables(credentials, env))


def no_credentials(providers: Iterable[str]) -> NotReadyError:
    """Return the error for when there is nothing to give to a container."""
    whose = ", ".join(providers) or "any installed provider"
    msg = f"there are no credentials here of {whose}: log in, or set a key, then try again"
    return NotReadyError(msg)


def file_problem(file: CredentialFile) -> str:
    """Say why a file cannot be used, or return ``""``; nothing of it is read."""
    try:
        state = file.path.stat()
    except FileNotFoundError:
        return "it is not there"
    except (OSError, RuntimeError) as error:
        return f"it cannot be looked at: {getattr(error, 'strerror', '') or error}"
    return "" if stat.S_ISREG(state.st_mode) else "it is not a regular file"
