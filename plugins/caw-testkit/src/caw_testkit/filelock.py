"""A lock between processes that the system releases when its holder dies."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from caw_core.locks import lock_descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.1


@contextlib.contextmanager
def file_lock(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on *path* while the block runs.

    Args:
        path: the lock file. It is made when missing and stays behind.
        timeout: seconds to wait for another holder.

    Raises:
        TimeoutError: another process still held the lock after *timeout* seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        deadline = time.monotonic() + timeout
        while not lock_descriptor(descriptor):
            if time.monotonic() > deadline:
                message = f"{path} is still locked by another process after {timeout:g} s"
                raise TimeoutError(message)
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        # Closing releases the lock on every system.
        os.close(descriptor)
