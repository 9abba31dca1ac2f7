"""Locks of the operating system on files: whoever holds one loses it when its process dies."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from caw_core.errors import SessionBusyError
from caw_core.folders import user_data_dir

if TYPE_CHECKING:
    from pathlib import Path

_FAR = 1 << 30
"""Windows forbids reading what is locked, so the locked byte lies behind the file's end."""


def lock_descriptor(fd: int) -> bool:
    """Lock an open file for as long as *fd* is open; False if somebody else has it locked."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock_descriptor(fd: int) -> None:
    """Give up the lock on an open file.

    Closing it is not enough: a program that another thread starts at this moment has the file open
    too, until it has begun, and what is locked is what both have open.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_UN)


def is_still_at(fd: int, path: Path) -> bool:
    """Tell whether *fd* is what *path* names now; a lock on a removed file is worth nothing."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


class ConversationLock:
    """The right to continue one conversation of an agent that has no lock of its own.

    Two processes that continue the same conversation would each go on from their own memory, and
    one's turns would be lost or mixed with the other's.

    Args:
        provider: whose conversation it is; part of the file's place.
        key: the agent's id of it, safe as a file's name.

    Raises:
        SessionBusyError: somebody has it, in this process or another.
        OSError: the file cannot be made.
    """

    def __init__(self, provider: str, key: str) -> None:
        folder = user_data_dir() / "locks" / provider
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{key}.lock"
        self._mutex = threading.Lock()
        self._fd = -1
        while self._fd < 0:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._claim(fd, key)
                # Its last holder may have removed the file between opening and locking it.
                if is_still_at(fd, self._path):
                    self._fd = fd
            finally:
                if self._fd < 0:
                    os.close(fd)

    def release(self) -> None:
        """Give the right back; idempotent, from any thread."""
        with self._mutex:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(fd)

    @staticmethod
    def _claim(fd: int, key: str) -> None:
        if not lock_descriptor(fd):
            os.lseek(fd, 0, os.SEEK_SET)
            pid = os.read(fd, 32).decode(errors="replace")
            holder = "this process" if pid == str(os.getpid()) else f"process {pid or '?'}"
            msg = f"the session {key} is open in {holder}. End it there, or wait until it has ended"
            raise SessionBusyError(msg, holder=holder)
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, str(os.getpid()).encode())
