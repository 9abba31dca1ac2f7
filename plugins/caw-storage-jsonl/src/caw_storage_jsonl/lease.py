"""The right to write a session: a lock of the operating system on a file in its folder.

The system drops the lock when the process dies, so no lease is ever left behind. What the file
holds (who, and the counter) is for people and for `FileLease.token`; only the lock counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from typing import TYPE_CHECKING

from caw_core.errors import SessionBusyError
from caw_core.locks import is_still_at, lock_descriptor, unlock_descriptor
from caw_storage_jsonl import private_files

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = "lease.lock"


class FileLease:
    """A lock that is held; see `caw_core.storage.Lease`."""

    def __init__(self, folder: Path, fd: int, token: int) -> None:
        self._folder = folder
        self._fd = fd
        self._token = token
        self._mutex = threading.Lock()
        self.kept: object = None
        """What lives at least until the release."""

    @property
    def token(self) -> int:
        """One more than the previous lease of this session had."""
        return self._token

    @property
    def held(self) -> bool:
        """Whether it was not released yet."""
        return self._fd >= 0

    def check(self) -> None:
        """Raise `SessionBusyError` if the lock's file was removed, so that another may hold it.

        Who holds a file that nobody can find any more does not notice, and must not write.
        """
        path = self._folder / LOCK_NAME
        if not is_still_at(self._fd, path):
            msg = (
                f"the lock {path} was removed while this process wrote the session, so another one "
                "may write it now. End the session here and resume it."
            )
            raise SessionBusyError(msg)

    def release(self) -> None:
        """Give the right back; idempotent, from any thread."""
        with self._mutex:
            if self._fd < 0:
                return
            fd, self._fd = self._fd, -1
            self.kept = None
        # A session that never stored anything leaves no empty folder. On Windows an open file
        # cannot be removed, so there it does.
        with contextlib.suppress(OSError):
            lock = self._folder / LOCK_NAME
            if [*self._folder.iterdir()] == [lock] and is_still_at(fd, lock):
                lock.unlink()
                self._folder.rmdir()
        unlock_descriptor(fd)
        os.close(fd)


def take(folder: Path) -> FileLease:
    """Lock the session in *folder*, which is made if it is missing.

    Raises:
        SessionBusyError: it is locked, by this process or another; ``holder`` says by which.
        OSError: the lock file cannot be made or locked.
    """
    path = folder / LOCK_NAME
    while True:
        private_files.make_folder(folder)
        try:
            fd = private_files.open_file(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            # Somebody removed the folder between the two calls.
            continue
        try:
            token = _claim(fd, path)
        except BaseException:
            os.close(fd)
            raise
        if token is not None:
            return FileLease(folder, fd, token)
        os.close(fd)


def _claim(fd: int, path: Path) -> int | None:
    """Lock and return the new token; None if the file was removed since it was opened."""
    state = _read(fd)
    if not lock_descriptor(fd):
        holder = f"process {state.get('pid', '?')} on {state.get('host', '?')}"
        msg = (
            f"session {path.parent.name!r} is being written by {holder}. "
            "End it there, or wait until it has ended."
        )
        raise SessionBusyError(msg, holder=holder)
    # A lock on a file that its last holder removed would protect nothing.
    return _write(fd) if is_still_at(fd, path) else None


def _read(fd: int) -> dict[str, object]:
    try:
        state = json.loads(private_files.read_all(fd))
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _write(fd: int) -> int:
    # Read again under the lock: before it, another holder may still have been counting.
    last = _read(fd).get("token")
    token = last + 1 if isinstance(last, int) else 1
    state = {"token": token, "pid": os.getpid(), "host": socket.gethostname()}
    text = json.dumps(state).encode()
    os.lseek(fd, 0, os.SEEK_SET)
    # Written before it is cut, so that the counter is there at every moment.
    os.write(fd, text)
    os.ftruncate(fd, len(text))
    return token
