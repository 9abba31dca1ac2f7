"""Files that their owner alone may read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Put a file in place, whole or not at all, with mode 0600; a link there is replaced.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    import tempfile

    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def create_file(path: Path, data: bytes) -> None:
    """Make a new file with mode 0600.

    Nothing that is there is written to, nor what a link there leads to.

    Raises:
        FileExistsError: there is something of that name.
        OSError: it cannot be written.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
