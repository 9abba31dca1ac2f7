"""Logins for containers, by the wrapper's functions; see `caw_core.credentials`.

Nothing is copied: a login is mounted from where it is, to where the agent looks for it. So a
container needs no ``setup-container.sh`` and no ``/tmp/caw_auth`` any more.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caw_core import credentials
from caw_core.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = [
    "AUTH_DIR",
    "AuthFileStatus",
    "TeardownWouldOrphanSymlinksError",
    "default_auth_dir",
    "get_docker_flags",
    "get_status",
    "setup",
    "status",
    "teardown",
]


class TeardownWouldOrphanSymlinksError(RuntimeError):
    """Never raised: `teardown` takes away what caw made, and nothing else."""


class NotSetUpError(ConfigError, FileNotFoundError):
    """`setup` was not called for that folder."""


@dataclass
class AuthFileStatus:
    """One login or key, and how a container gets it."""

    agent: str
    file: str
    type: str
    strategy: str
    exists: bool
    token_expiry: str | None


def default_auth_dir() -> Path:
    """Return the folder for what containers write."""
    return credentials.credentials_folder()


def setup(
    agents: list[str] | None = None,
    source_home: str | None = None,
    dest_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Make the folders that containers write to.

    Args:
        agents: providers; default all, as with ``"all"``.
        source_home: the home in which the logins are.
        dest_dir: where to make them; default `default_auth_dir`.

    Returns:
        That folder.

    Raises:
        ValueError: there is no such provider, or something is in the way.
    """
    env = {"HOME": source_home} if source_home else None
    credentials.setup(_names(agents), folder=dest_dir, env=env)
    return Path(dest_dir) if dest_dir is not None else default_auth_dir()


def get_status(
    agents: list[str] | None = None, auth_dir: str | os.PathLike[str] | None = None
) -> list[AuthFileStatus]:
    """Say which logins and keys there are.

    Raises:
        FileNotFoundError: `setup` was not called.
    """
    _check_set_up(auth_dir)
    return [
        AuthFileStatus(
            agent=each.provider,
            file=each.name,
            type="credential",
            strategy={"copied": "copy", "passed on by name": "env"}.get(each.how, "bind"),
            exists=each.present,
            token_expiry=_expiry(each),
        )
        for each in credentials.status(_names(agents), folder=auth_dir)
    ]


def status(agents: list[str] | None = None, auth_dir: str | os.PathLike[str] | None = None) -> None:
    """Print what `get_status` returns."""
    for each in get_status(agents, auth_dir):
        state = "there" if each.exists else "missing"
        print(each.agent, each.file, each.strategy, state, each.token_expiry or "")  # noqa: T201 - what it is for


def get_docker_flags(auth_dir: str | os.PathLike[str] | None = None) -> str:
    """Return arguments for ``docker run``, quoted for a shell.

    Raises:
        FileNotFoundError: `setup` was not called.
        RuntimeError: there are no credentials to give.
    """
    _check_set_up(auth_dir)
    return shlex.join(credentials.docker_flags(folder=auth_dir))


def teardown(
    auth_dir: str | os.PathLike[str] | None = None,
    force: bool = False,  # noqa: FBT001, FBT002 - the wrapper's signature
) -> None:
    """Remove what `setup` made; *force* also what containers wrote there. Logins stay."""
    credentials.teardown(folder=auth_dir, everything=force)


def _names(agents: Sequence[str] | None) -> Sequence[str] | None:
    return None if not agents or "all" in agents else agents


def _check_set_up(auth_dir: str | os.PathLike[str] | None) -> None:
    folder = Path(auth_dir) if auth_dir is not None else default_auth_dir()
    if not folder.is_dir():
        message = f"there is no {folder}: call caw.auth_setup(), or run 'caw auth setup', first"
        raise NotSetUpError(message)


def _expiry(each: credentials.CredentialStatus) -> str | None:
    if each.expires_at is None:
        return None
    return f"{'EXPIRED' if each.expired else 'valid'} ({each.expires_at:%Y-%m-%d %H:%M} UTC)"


def __getattr__(name: str) -> Any:
    if name == "AUTH_DIR":
        # Asked each time, for CAW_HOME may change.
        return default_auth_dir()
    raise AttributeError(name)
