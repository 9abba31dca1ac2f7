"""What there is of logins on this machine, for people and programs; never a value."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import attrs

from caw_core.credentials.manifest import MadeFor, Manifest
from caw_core.credentials.places import (
    declared_credentials,
    file_problem,
    set_variables,
)
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caw_core.credentials.declared import CredentialFile
    from caw_core.registry import PluginRegistry

How = Literal["mounted", "mounted read-only", "copied", "passed on by name", "not given"]


@attrs.frozen(kw_only=True)
class CredentialStatus:
    """One login or key of one provider.

    Attributes:
        provider: the provider's own name.
        kind: ``file`` or ``variable``.
        name: the file's path, or the variable's name.
        what: what it is, for people.
        present: whether it is there.
        how: how a container gets it.
        place: where the file is in a container, below the home there.
        expires_at: when the login runs out unless it is renewed; None if that is not known.
        modified_at: when the file was last written.
        problem: what is wrong with it; ``""`` for nothing.
    """

    provider: str
    kind: Literal["file", "variable"]
    name: str
    what: str = ""
    present: bool
    how: How
    place: str = ""
    expires_at: datetime | None = None
    modified_at: datetime | None = None
    problem: str = ""

    @property
    def expired(self) -> bool | None:
        """Whether the login has run out, if it is not renewed; None if that is not known."""
        return None if self.expires_at is None else self.expires_at <= datetime.now(UTC)


def status(
    names: Sequence[str] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[CredentialStatus]:
    """Say which logins and keys there are, and how a container gets each.

    Variables that are not set are left out; files that are not there are named.

    Args:
        names: the providers; default all that can say what a container needs.
        folder: where `setup` has made its folders; default `credentials_folder`.
        env: changes to the environment.
        registry: where the providers are.

    Raises:
        ConfigError: a name is unknown, or the list of what was made cannot be understood.
        PluginError: a provider that was named is broken.
    """
    declared = declared_credentials(names, env, registry)
    manifest = Manifest.read(folder)
    found = []
    for provider, credentials in declared.items():
        made = manifest.providers.get(provider, MadeFor())
        found += [_of_file(provider, file, made) for file in credentials.files]
        found += [
            CredentialStatus(
                provider=provider,
                kind="variable",
                name=name,
                present=True,
                how="passed on by name",
            )
            for name in set_variables(credentials, env)
        ]
    return found


async def status_async(
    names: Sequence[str] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[CredentialStatus]:
    """Do as `status`."""
    return await call_in_thread(status, names, folder=folder, env=env, registry=registry)


def _of_file(provider: str, file: CredentialFile, made: MadeFor) -> CredentialStatus:
    problem = file_problem(file)
    how: How = "mounted" if file.writable else "mounted read-only"
    if file.place in made.copies:
        how = "copied"
    elif problem:
        how = "not given"
    modified = None
    if not problem:
        state = file.path.stat()
        modified = datetime.fromtimestamp(state.st_mtime, UTC)
        if os.name == "posix" and state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            problem = "other users of this machine may read it; make it yours alone: chmod 600"
    return CredentialStatus(
        provider=provider,
        kind="file",
        name=str(file.path),
        what=file.what,
        present=modified is not None,
        how=how,
        place=file.place,
        expires_at=file.expires_at,
        modified_at=modified,
        problem=problem,
    )
