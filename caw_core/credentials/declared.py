"""What a provider says of its agent's credentials, for use in a container."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from caw_core.control_characters import has_control_characters
from caw_core.errors import ConfigError


def _check_place(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    path = PurePosixPath(value)
    usual = str(path) == value and value not in {"", "."}
    if path.is_absolute() or ".." in path.parts or not usual or has_control_characters(value):
        msg = f"{attribute.name}: a place is a path below the container's home, not {value!r}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class CredentialFile:
    """A file of this machine that holds a login.

    Attributes:
        path: the file, absolute; it need not be there.
        place: where the agent looks for it in a container, below the home there, as in
            ``".codex/auth.json"``.
        what: what it is, for people.
        writable: the agent renews the login by writing into this very file, so it is mounted to be
            written. Leave it False where the agent puts a new file in its place: a mounted file
            cannot be replaced, and a login that was renewed and not kept is lost.
        expires_at: when the login runs out unless it is renewed; None if that cannot be seen.
    """

    path: Path
    place: str = attrs.field(validator=_check_place)
    what: str = "login"
    writable: bool = False
    expires_at: datetime | None = None


def _check_places(_: object, attribute: attrs.Attribute[Any], values: tuple[str, ...]) -> None:
    for value in values:
        _check_place(None, attribute, value)


def _check_start_files(of: Any, attribute: attrs.Attribute[Any], files: Mapping[str, str]) -> None:
    for place in files:
        _check_place(None, attribute, place)
        # What a container can write to is written by caw only where no link can lead elsewhere.
        if str(PurePosixPath(place).parent) not in of.folders:
            msg = f"{attribute.name}: {place!r} does not lie directly in one of the folders"
            raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class ContainerCredentials:
    """All that a container needs so that an agent in it is logged in as here.

    Attributes:
        files: files that hold logins.
        variables: names of variables that hold keys or choose a service; those that are set here
            are passed on, by name.
        folders: below the container's home, the folders in which the agent keeps what it writes.
            Setting up makes one of this machine for each.
        start_files: files to be there at the first start, directly in one of ``folders``, with
            their text, e.g. so that the agent does not ask for its colors. Nothing secret.
        settings: variables for the container with their values. Nothing secret. A value that
            begins with ``~/`` is below the container's home.
        note: what a person should know, such as what does not work; ``""`` for nothing.
    """

    files: tuple[CredentialFile, ...] = ()
    variables: tuple[str, ...] = ()
    folders: tuple[str, ...] = attrs.field(default=(), validator=_check_places)
    start_files: Mapping[str, str] = attrs.field(factory=dict, validator=_check_start_files)
    settings: Mapping[str, str] = attrs.field(factory=dict)
    note: str = ""
