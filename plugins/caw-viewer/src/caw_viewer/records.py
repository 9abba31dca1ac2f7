"""What a viewer shows: the sessions of a store, and documents in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caw_core import Store
from caw_core.errors import ConfigError, TrajectoryError
from caw_core.formats.reading import read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.trajectory import Trajectory


class Records:
    """Reads what a viewer was started with; each document is known by its number.

    Args:
        sources: storage URLs, storage plugins, a `Store`, and paths of documents.
        any_file: whether the reader may ask for other documents by their path.

    Raises:
        ConfigError: there is none, or a file is not there.
        UnknownStorageError, PluginError: a storage is not installed, or broken.
    """

    def __init__(self, sources: Sequence[object], *, any_file: bool = False) -> None:
        self.any_file = any_file
        if not sources and not any_file:
            msg = "a viewer needs something to show: a storage's URL, a Store, or files"
            raise ConfigError(msg)
        self.documents: list[Path] = []
        storages: list[object] = []
        stores: list[Store] = []
        for source in sources:
            if isinstance(source, Store):
                stores.append(source)
            elif isinstance(source, Path) or (isinstance(source, str) and ":" not in source):
                self.documents.append(_file(Path(source)))
            else:
                storages.append(source)
        if len(stores) + bool(storages) > 1:
            msg = "a viewer shows one Store; give the storages' URLs to show several together"
            raise ConfigError(msg)
        self.store: Store | None = stores[0] if stores else Store(*storages) if storages else None

    def document(self, number: int) -> Trajectory:
        """Read the document of that number anew.

        Raises:
            LookupError: there is none.
            TrajectoryError: it cannot be read, or is no record.
        """
        return _read(self.documents[number])

    def file(self, path: str) -> Trajectory:
        """Read the document of that path.

        Raises:
            TrajectoryError: it cannot be read, or is no record.
        """
        return _read(Path(path).expanduser())


def _read(path: Path) -> Trajectory:
    try:
        text = path.read_bytes()
    except (OSError, ValueError) as error:
        msg = f"{path}: {getattr(error, 'strerror', None) or error}"
        raise TrajectoryError(msg) from error
    return read_document(text, str(path)).trajectory


def _file(path: Path) -> Path:
    path = path.expanduser().absolute()
    if not path.is_file():
        msg = f"{path} is not a file; name documents, or a storage by its URL"
        raise ConfigError(msg)
    return path
