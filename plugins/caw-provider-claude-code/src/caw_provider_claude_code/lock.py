"""The right to continue a conversation.

Claude itself takes no lock: two processes may continue the same conversation, each from its own
memory, and the turns of one are lost. So caw keeps a lock of the operating system for each, which
the system drops when its holder dies.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from caw_core.errors import SessionBusyError
from caw_core.folders import user_data_dir
from caw_provider_claude_code.errors import NAME

if TYPE_CHECKING:
    from pathlib import Path

_FAR: Final = 1 << 30
"""Windows forbids reading what is locked, so the locked byte lies behind the file's end."""


class ConversationLock:
    """A lock that is held. Made by `take`."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._mutex = threading.Lock()

    @classmethod
    def take(cls, key: str) -> ConversationLock:
        """Lock a conversation.

        Args:
            key: claude's id of it, checked.

        Raises:
            SessionBusyError: it is open, in this process or in another one of this user.
        """
        folder = user_data_dir() / "locks" / NAME
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{key}.lock"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            if not _lock(fd):
                holder = _holder(fd)
                os.close(fd)
                msg = (
                    f"the claude conversation {key} is open in {holder}. End that session first, "
                    "or fork the conversation."
                )
                raise SessionBusyError(msg, holder=holder)
            if _is_at(fd, path):
                os.ftruncate(fd, 0)
                os.write(fd, str(os.getpid()).encode())
                return cls(path, fd)
            # Its last holder removed it since it was opened; that lock would protect nothing.
            os.close(fd)

    def release(self) -> None:
        """Let the conversation go; idempotent, from any thread."""
        with self._mutex:
            fd, self._fd = self._fd, -1
        if fd < 0:
            return
        # An open file cannot be removed on Windows; it stays there, unlocked.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(fd)


def _lock(fd: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(fd, 0, os.SEEK_SET)
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


def _holder(fd: int) -> str:
    pid = os.read(fd, 32).decode(errors="replace")
    return f"process {pid}" if pid else "another process"
