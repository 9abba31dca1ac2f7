"""The right to drive one of opencode's sessions: a lock of the operating system.

opencode has none: two processes that prompt one session mix their turns. The system drops the
lock when the process dies, so none is ever left behind; what the file holds is for people.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

from caw_core.errors import SessionBusyError
from caw_core.folders import user_data_dir

if TYPE_CHECKING:
    from pathlib import Path

_FAR: Final = 1 << 30
"""Windows locks bytes against reading too, so the locked one lies behind the file's end."""


class SessionLock:
    """A lock that is held until `release`.

    Args:
        provider: whose session it is; part of the file's place.
        key: the session's id in that provider, safe as a file's name.

    Raises:
        SessionBusyError: somebody holds it, in this process or another.
        OSError: the file cannot be made.
    """

    def __init__(self, provider: str, key: str) -> None:
        folder = user_data_dir() / "locks" / provider
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{key}.lock"
        self._fd = -1
        while self._fd < 0:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                self._claim(fd, key)
                # A lock on a file that its last holder removed would protect nothing.
                if _is_at(fd, self._path):
                    self._fd = fd
            finally:
                if self._fd < 0:
                    os.close(fd)

    def release(self) -> None:
        """Give the right back; idempotent."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(fd)

    def _claim(self, fd: int, key: str) -> None:
        if not _lock(fd):
            pid = os.pread(fd, 32, 0).decode(errors="replace") if hasattr(os, "pread") else "?"
            holder = "this process" if pid == str(os.getpid()) else f"process {pid or '?'}"
            msg = f"the session {key} is open in {holder}. End it there, or wait until it has ended"
            raise SessionBusyError(msg, holder=holder)
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, str(os.getpid()).encode())


def _lock(fd: int) -> bool:
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


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
