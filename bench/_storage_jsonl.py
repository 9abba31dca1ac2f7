"""The JSON Lines storage for ``storage.py``, and a synced append to a file beside it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Jsonl:
    """A data folder, and a file for the bare write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, *, durable: bool = True) -> Any:  # noqa: ARG002 - it has no switch for that
        """Open the storage."""
        return JsonlStorage(self._folder / "data")

    @contextlib.contextmanager
    def bare(self) -> Iterator[Callable[[str], object]]:
        """One line for each text, on the disk when the call returns."""
        fd = os.open(self._folder / "bare.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sync = getattr(os, "fdatasync", os.fsync)

        def write(text: str) -> None:
            os.write(fd, text.encode() + b"\n")
            sync(fd)

        try:
            yield write
        finally:
            os.close(fd)


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Jsonl]:
    """Return what ``storage.py`` measures."""
    yield Jsonl(folder)
