"""The arguments with which ``docker run`` gives a container this machine's logins."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from caw_core.control_characters import has_control_characters
from caw_core.credentials.manifest import MadeFor, Manifest
from caw_core.credentials.places import (
    declared_credentials,
    file_problem,
    no_credentials,
    set_variables,
)
from caw_core.errors import ConfigError
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from caw_core.credentials.declared import ContainerCredentials
    from caw_core.registry import PluginRegistry

_USER = re.compile(r"[A-Za-z0-9_][\w.-]{0,63}(:[A-Za-z0-9_][\w.-]{0,63})?", re.ASCII)


def docker_flags(
    names: Sequence[str] | None = None,
    *,
    home: str = "/root",
    user: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[str]:
    """Return arguments for ``docker run``, in front of the image; Podman takes the same.

    Logins are mounted from where they are, and variables are named without their values, which
    docker takes from its own environment. Reads no login and makes nothing.

    Args:
        names: the providers; default all that can say what a container needs.
        home: the home of the container's user.
        user: the container's user, as ``docker run --user`` takes it; ``"me"`` for the user and
            group of this process; default the image's.
        folder: where `setup` has made its folders; default `credentials_folder`.
        env: changes to the environment.
        registry: where the providers are.

    Raises:
        ConfigError: a name is unknown, *home* or *user* make no sense, or a path cannot be written
            as an argument.
        NotReadyError: there are no credentials to give.
        PluginError: a provider that was named is broken.
    """
    target = _home(home)
    flags = _user(user, target)
    declared = declared_credentials(names, env, registry)
    manifest = Manifest.read(folder)
    passed: dict[str, list[str]] = {}
    given = False
    for provider, credentials in declared.items():
        made = manifest.providers.get(provider, MadeFor())
        mounts = list(_logins(credentials, made, target))
        variables = set_variables(credentials, env)
        if not (mounts or variables or made.copies):
            continue
        given = True
        flags += _folders(manifest.folder / provider, made, target)
        flags += mounts
        # Two providers may know one variable.
        passed.update((name, ["--env", name]) for name in variables)
        for name, value in credentials.settings.items():
            there = str(target / value.removeprefix("~/")) if value.startswith("~/") else value
            passed[name] = ["--env", f"{name}={there}"]
    if not given:
        raise no_credentials(declared)
    return [*flags, *(word for words in passed.values() for word in words)]


async def docker_flags_async(
    names: Sequence[str] | None = None,
    *,
    home: str = "/root",
    user: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    registry: PluginRegistry | None = None,
) -> list[str]:
    """Do as `docker_flags`."""
    return await call_in_thread(
        docker_flags, names, home=home, user=user, folder=folder, env=env, registry=registry
    )


def _home(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or has_control_characters(text):
        msg = f"home is an absolute path in the container, not {text!r}"
        raise ConfigError(msg)
    return path


def _user(user: str | None, home: PurePosixPath) -> list[str]:
    if user is None:
        return []
    if user == "me":
        if sys.platform == "win32":
            msg = "this system has no numbers for users; name the container's user"
            raise ConfigError(msg)
        user = f"{os.getuid()}:{os.getgid()}"
    elif not _USER.fullmatch(user):
        msg = f"user is a name or number, with ':' and a group if need be, not {user!r}"
        raise ConfigError(msg)
    # Docker takes the home from the image's list of users, which need not know this one.
    return ["--user", user, "--env", f"HOME={home}"]


def _folders(base: Path, made: MadeFor, home: PurePosixPath) -> Iterator[str]:
    for place, name in made.folders.items():
        folder = base / name
        if not folder.is_dir():
            msg = f"the folder {str(folder)!r} is gone; set up again, e.g. with: caw auth setup"
            raise ConfigError(msg)
        yield from _mount(folder, home / place, writable=True)


def _logins(credentials: ContainerCredentials, made: MadeFor, home: PurePosixPath) -> Iterator[str]:
    for file in credentials.files:
        if file.place not in made.copies and not file_problem(file):
            # Where a person's file is a link, what is mounted is the file.
            path = file.path.resolve()
            yield from _mount(path, home / file.place, writable=file.writable)


def _mount(source: Path, target: PurePosixPath, *, writable: bool) -> Iterator[str]:
    # Not -v: that makes a folder where the source is missing, and stumbles over colons.
    fields = ["type=bind", f"source={source.absolute()}", f"target={target}"]
    if not writable:
        fields.append("readonly")
    yield "--mount"
    yield ",".join(map(_csv_field, fields))


def _csv_field(field: str) -> str:
    if has_control_characters(field):
        msg = f"a path with control characters cannot be mounted: {field!r}"
        raise ConfigError(msg)
    quoted = any(character in field for character in ',"')
    return '"' + field.replace('"', '""') + '"' if quoted else field
