"""Making what containers need besides the logins themselves."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from caw_core.credentials.manifest import MadeFor, Manifest, is_mount_point
from caw_core.credentials.places import (
    declared_credentials,
    file_problem,
    has_credentials,
    no_credentials,
)
from caw_core.errors import ConfigError
from caw_core.private_files import create_file
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caw_core.credentials.declared import ContainerCredentials
    from caw_core.registry import PluginRegistry

_LARGEST_LOGIN = 1 << 20


@attrs.frozen(kw_only=True)
class Prepared:
    """What was made for one provider.

    Attributes:
        provider: its own name.
        folders: the folders of this machine that containers will write to.
        copied: logins that were copied, by their copies' paths; empty unless that was asked for.
        note: what the provider has to say.
    """

    provider: str
    folders: tuple[Path, ...] = ()
    copied: tuple[Path, ...] = ()
    note: str = ""


def setup(
    names: Sequence[str] | None = None,
    *,
    copy: bool = False,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[Prepared]:
    """Make folders for what agents in containers write, each readable by this user alone.

    They hold no secret: a login is mounted into them when a container runs, from where it is. What
    is there already stays as it is, so doing it twice changes nothing.

    Args:
        names: the providers; default all of which there are credentials.
        copy: copy the logins as well, for containers that cannot mount them. The copies have mode
            0600 and `teardown` removes them. An agent that renews a copied login may make the one
            on this machine invalid.
        folder: where to make them; default `credentials_folder`.
        env: changes to the environment, in which providers look for logins.
        registry: where the providers are.

    Raises:
        ConfigError: a name is unknown, a login cannot be copied, or something else is in the way.
        NotReadyError: no provider was named, and there are no credentials of any.
        PluginError: a provider that was named is broken.
        OSError: something cannot be written.
    """
    declared = declared_credentials(names, env, registry)
    if names is None:
        declared = {
            name: credentials
            for name, credentials in declared.items()
            if has_credentials(credentials, env)
        }
    if not declared:
        raise no_credentials(())
    manifest = Manifest.read(folder)
    prepared = []
    for provider, credentials in declared.items():
        before = manifest.providers.get(provider, MadeFor())
        base = manifest.folder / provider
        made = _without_others(_planned(credentials, copy=copy), before, base)
        _check_free(base, made, before)
        logins = {place: _login(credentials, place) for place in made.copies}
        # Listed first: what is made after a crash or an error is found again.
        manifest = manifest.with_provider(provider, _both(before, made))
        manifest.write()
        _make(base, made, credentials, logins, before)
        manifest = manifest.with_provider(provider, made)
        manifest.write()
        prepared.append(
            Prepared(
                provider=provider,
                folders=tuple(base / name for name in made.folders.values()),
                copied=tuple(path for _, path in made.paths(base, made.copies)),
                note=credentials.note,
            )
        )
    return prepared


async def setup_async(
    names: Sequence[str] | None = None,
    *,
    copy: bool = False,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[Prepared]:
    """Do as `setup`."""
    return await call_in_thread(setup, names, copy=copy, folder=folder, env=env, registry=registry)


def _planned(credentials: ContainerCredentials, *, copy: bool) -> MadeFor:
    # A login that lies elsewhere than in the agent's folders needs no mount point of ours.
    logins = tuple(
        file.place
        for file in credentials.files
        if str(PurePosixPath(file.place).parent) in credentials.folders
    )
    there = {file.place for file in credentials.files if not file_problem(file)}
    return MadeFor(
        folders={
            place: re.sub(r"[^\w.-]+", "-", place).lstrip(".-") for place in credentials.folders
        },
        start_files=tuple(credentials.start_files),
        mount_points=tuple(place for place in logins if not (copy and place in there)),
        copies=tuple(place for place in logins if copy and place in there),
    )


def _without_others(made: MadeFor, before: MadeFor, base: Path) -> MadeFor:
    # What is there already and was not made by us is used as it is, and never removed.
    known = {*before.start_files, *before.mount_points, *before.copies}

    def ours(places: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            place
            for place, path in made.paths(base, places)
            if place in known or not os.path.lexists(path)
        )

    return attrs.evolve(
        made, start_files=ours(made.start_files), mount_points=ours(made.mount_points)
    )


def _both(one: MadeFor, other: MadeFor) -> MadeFor:
    return MadeFor(
        folders={**one.folders, **other.folders},
        **{
            name: tuple(dict.fromkeys((*getattr(one, name), *getattr(other, name))))
            for name in ("start_files", "mount_points", "copies")
        },
    )


def _check_free(base: Path, made: MadeFor, before: MadeFor) -> None:
    for path in (base, *(base / name for name in made.folders.values())):
        if os.path.lexists(path) and not stat.S_ISDIR(path.lstat().st_mode):
            msg = f"{str(path)!r} is in the way: it is not a folder. Remove it, then set up again."
            raise ConfigError(msg)
    for place, path in made.paths(base, made.copies):
        theirs = place not in before.copies and os.path.lexists(path)
        if theirs and not is_mount_point(path):
            msg = (
                f"{str(path)!r} holds a login that caw did not copy there, perhaps one made in a "
                "container. Remove it, then set up again."
            )
            raise ConfigError(msg)


def _login(credentials: ContainerCredentials, place: str) -> bytes:
    file = next(file for file in credentials.files if file.place == place)
    with file.path.open("rb") as stream:
        data = stream.read(_LARGEST_LOGIN + 1)
    if len(data) > _LARGEST_LOGIN:
        msg = f"{str(file.path)!r} is larger than {_LARGEST_LOGIN} bytes, so it is no login"
        raise ConfigError(msg)
    return data


def _make(
    base: Path,
    made: MadeFor,
    credentials: ContainerCredentials,
    logins: Mapping[str, bytes],
    before: MadeFor,
) -> None:
    for folder in (base, *(base / name for name in made.folders.values())):
        folder.mkdir(mode=0o700, exist_ok=True)
    # A container can have put anything there, also a link to a file of this machine: nothing that
    # exists is written to. A copy is made in its place, which the list has: what a crash leaves of
    # it is removed as well.
    for place, path in made.paths(base, made.copies):
        path.unlink(missing_ok=True)
        create_file(path, logins[place])
    for place, path in made.paths(base, made.mount_points):
        if place in before.copies:
            path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            create_file(path, b"")
    for place, path in made.paths(base, made.start_files):
        with contextlib.suppress(FileExistsError):
            create_file(path, credentials.start_files[place].encode())
