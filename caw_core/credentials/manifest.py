"""The list of what caw made for containers, so that it can be taken away again."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import attrs

from caw_core.credentials.places import credentials_folder
from caw_core.errors import ConfigFileError
from caw_core.private_files import replace_file

NAME: Final = "manifest.json"
_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class MadeFor:
    """What was made for one provider; places are those in the container, below its home.

    Attributes:
        folders: the name of the folder here, for each place.
        start_files: places of files that the agent begins with.
        mount_points: places of empty files onto which a login is mounted.
        copies: places of copied logins.
    """

    folders: Mapping[str, str] = attrs.field(factory=dict)
    start_files: tuple[str, ...] = ()
    mount_points: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    def paths(self, base: Path, places: Iterable[str]) -> Iterator[tuple[str, Path]]:
        """Yield those of *places* that are in one of the folders, each with where it is here."""
        for place in places:
            inside = PurePosixPath(place)
            folder = self.folders.get(str(inside.parent))
            if folder:
                yield place, base / folder / inside.name


@attrs.frozen(kw_only=True)
class Manifest:
    """What was made, by provider.

    Attributes:
        folder: the folder in which all of it is.
        providers: what was made for each.
    """

    folder: Path
    providers: Mapping[str, MadeFor] = attrs.field(factory=dict)

    @classmethod
    def read(cls, folder: str | os.PathLike[str] | None) -> Manifest:
        """Read the list; a folder without one holds nothing of caw's.

        Args:
            folder: where it is; None for `credentials_folder`.

        Raises:
            ConfigFileError: it cannot be read or understood. Nothing is taken away on its word.
        """
        folder = Path(folder) if folder is not None else credentials_folder()
        path = folder / NAME
        try:
            document = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return cls(folder=folder)
        except (OSError, ValueError, RecursionError) as error:
            problem = "the list of what was made for containers cannot be read"
            raise ConfigFileError(path, problem) from error
        try:
            return cls(folder=folder, providers=_providers(document))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = "it is not the list of what was made for containers"
            raise ConfigFileError(path, problem) from error

    def with_provider(self, name: str, made: MadeFor | None) -> Manifest:
        """Return the list with another entry for a provider; None takes it out."""
        others = {key: value for key, value in self.providers.items() if key != name}
        return attrs.evolve(self, providers={**others, name: made} if made else others)

    def write(self) -> None:
        """Put the list in place; without entries, take it away, and its folder if that is empty."""
        path = self.folder / NAME
        if not self.providers:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        providers = {name: attrs.asdict(made) for name, made in sorted(self.providers.items())}
        replace_file(path, json.dumps({"version": _VERSION, "providers": providers}, indent=2))


def is_mount_point(path: Path) -> bool:
    """Tell whether a file is as it was made for a login to be mounted on: empty."""
    state = path.lstat()
    return stat.S_ISREG(state.st_mode) and state.st_size == 0


def _providers(document: Any) -> dict[str, MadeFor]:
    if document["version"] != _VERSION:
        raise ValueError(document["version"])
    return {_part(name): _made(entry) for name, entry in document["providers"].items()}


def _made(entry: Any) -> MadeFor:
    folders = {_place(place): _part(name) for place, name in entry["folders"].items()}
    made = MadeFor(
        folders=folders,
        **{
            name: tuple(map(_place, entry[name]))
            for name in ("start_files", "mount_points", "copies")
        },
    )
    for place in (*made.start_files, *made.mount_points, *made.copies):
        if str(PurePosixPath(place).parent) not in folders:
            raise ValueError(place)
    return made


def _place(text: str) -> str:
    # The list decides what is deleted, so a name in it must not lead out of the folder.
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or str(path) != text or text == ".":
        raise ValueError(text)
    return text


def _part(text: str) -> str:
    if len(Path(_place(text)).parts) != 1 or "\\" in text or ":" in text:
        raise ValueError(text)
    return text
