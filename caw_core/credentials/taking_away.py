"""Taking away what was made for containers, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.credentials.manifest import MadeFor, Manifest, is_mount_point
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@attrs.frozen(kw_only=True)
class Removed:
    """What became of all that was made.

    Attributes:
        removed: files and folders that are gone.
        kept: what is still there, because it is not caw's or could not be removed, each with why.
    """

    removed: tuple[Path, ...] = ()
    kept: Mapping[Path, str] = attrs.field(factory=dict)


def teardown(
    names: Sequence[str] | None = None,
    *,
    everything: bool = False,
    dry_run: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Removed:
    """Remove what `setup` made, and nothing else. Logins of this machine are never touched.

    What agents in containers have written, such as conversations, stays unless *everything* is
    wanted. Doing it twice changes nothing.

    Args:
        names: providers by their own names; default all.
        everything: remove the folders with all that containers have written into them.
        dry_run: only say what would be removed.
        folder: where they were made; default `credentials_folder`.

    Raises:
        ConfigError: the list of what was made cannot be understood; nothing was removed.
        OSError: that list cannot be written.
    """
    manifest = Manifest.read(folder)
    removal = _Removal(everything=everything, dry_run=dry_run)
    for provider, made in manifest.providers.items():
        if names is None or provider in names:
            base = manifest.folder / provider
            removal.remove(base, made)
            manifest = manifest.with_provider(provider, _left(base, made))
    if not dry_run:
        manifest.write()
    return Removed(removed=tuple(removal.removed), kept=removal.kept)


async def teardown_async(
    names: Sequence[str] | None = None,
    *,
    everything: bool = False,
    dry_run: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Removed:
    """Do as `teardown`."""
    return await call_in_thread(
        teardown, names, everything=everything, dry_run=dry_run, folder=folder
    )


class _Removal:
    """Removes what was made, or only says what it would remove."""

    def __init__(self, *, everything: bool, dry_run: bool) -> None:
        self.removed: list[Path] = []
        self.kept: dict[Path, str] = {}
        self._everything = everything
        self._dry_run = dry_run

    def remove(self, base: Path, made: MadeFor) -> None:
        """Remove what was made for one provider."""
        places = (*made.copies, *made.start_files, *made.mount_points)
        for place, path in made.paths(base, places):
            if not os.path.lexists(path):
                continue
            theirs = place in made.mount_points and place not in made.copies
            if theirs and not is_mount_point(path):
                if not self._everything:
                    self.kept[path] = "a login that was made in a container"
                continue
            self._remove(Path.unlink, path)
        for folder in (base / name for name in made.folders.values()):
            if self._everything and folder.is_dir():
                self._remove(shutil.rmtree, folder)
            else:
                self._remove_if_empty(folder, "what agents in containers have written")
        self._remove_if_empty(base, "")

    def _remove_if_empty(self, folder: Path, why_not: str) -> None:
        if folder.is_symlink() or not folder.is_dir():
            return
        if set(folder.iterdir()) - set(self.removed):
            if why_not:
                self.kept[folder] = why_not
        else:
            self._remove(Path.rmdir, folder)

    def _remove(self, how: Callable[[Path], object], path: Path) -> None:
        try:
            if not self._dry_run:
                how(path)
        except OSError as error:
            self.kept[path] = f"it cannot be removed: {error.strerror or error}"
        else:
            self.removed.append(path)


def _left(base: Path, made: MadeFor) -> MadeFor | None:
    # What is no longer there is no longer ours: a container may make a file of that name.
    if not os.path.lexists(base):
        return None

    def there(places: Sequence[str]) -> tuple[str, ...]:
        return tuple(place for place, path in made.paths(base, places) if os.path.lexists(path))

    return MadeFor(
        folders=made.folders,
        start_files=there(made.start_files),
        mount_points=there(made.mount_points),
        copies=there(made.copies),
    )
