"""Files that only their owner may read, written so that they survive a crash.

Durability: what `append` and `replace` return from is on the disk, as far as ``fdatasync`` and
``fsync`` reach. They survive the death of the process and of the machine. (macOS keeps synced data
in the drive's own cache, see its manual page fsync(2); there a power cut may still take them.)

Nothing below the data folder is reached through a symbolic link: a link in the place of a session
would make caw write outside its folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from caw_core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_ALWAYS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_ADVICE = {
    errno.EACCES: "Give this user the right to read and write there, or choose another folder.",
    errno.EPERM: "Give this user the right to read and write there, or choose another folder.",
    errno.EROFS: "The file system is read-only; choose another folder.",
    errno.ENOSPC: "Free some space and try again.",
    errno.EDQUOT: "Free some of your quota and try again.",
    errno.ELOOP: "It is a symbolic link, which is never followed here; put the real thing there.",
    errno.ENOTDIR: "Something that is no folder is in the way; move it.",
    errno.EISDIR: "A folder is in the way; move it.",
}


@contextlib.contextmanager
def naming(path: Path, deed: str) -> Iterator[None]:
    """Turn an `OSError` inside into a `StorageError` that names *path* and says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Look after the disk and try again.")
        place = error.filename if isinstance(error.filename, str) else path
        msg = f"cannot {deed} {place}: {error.strerror or error}. {advice}"
        raise StorageError(msg) from error


def open_file(path: Path, flags: int) -> int:
    """Open a regular file as a descriptor that child processes do not inherit.

    One that is opened for writing gets mode 0600 whatever it had and whatever the umask says.

    Raises:
        OSError: it cannot be opened, is a symbolic link or no regular file.
    """
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    fd = os.open(path, flags | _ALWAYS, _FILE_MODE)
    try:
        _make_private(fd, path, writable=bool(flags & (os.O_WRONLY | os.O_RDWR)))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_private(fd: int, path: Path, *, writable: bool) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EISDIR, "it is no regular file", str(path))
    if sys.platform != "win32" and writable and stat.S_IMODE(mode) != _FILE_MODE:
        os.fchmod(fd, _FILE_MODE)


@contextlib.contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """Open as `open_file` does, and close at the end."""
    fd = open_file(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def is_real_folder(path: Path) -> bool:
    """Tell whether there is a folder at *path*.

    Raises:
        OSError: something else is there, such as a symbolic link.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        return True
    code = errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR
    raise OSError(code, os.strerror(code), str(path))


def make_folder(path: Path) -> None:
    """Make the folder *path*, mode 0700 whatever the umask says, unless it is there."""
    if is_real_folder(path):
        return
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=_FOLDER_MODE)
        path.chmod(_FOLDER_MODE)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; Windows has no call for that and needs none."""
    if os.name == "posix":
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_all(fd: int) -> bytes:
    """Return the whole content of an open file, as long as it was when the call began."""
    return read_at(fd, 0, os.fstat(fd).st_size)


def read_at(fd: int, offset: int, length: int) -> bytes:
    """Return *length* bytes from *offset*, fewer only where the file ends."""
    parts = []
    os.lseek(fd, offset, os.SEEK_SET)
    while length > 0 and (part := os.read(fd, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def append(fd: int, data: bytes) -> None:
    """Write *data* at the end with one call of the system, and sync; all of it or nothing.

    Raises:
        OSError: nothing was written, unless the disk refuses even to shorten the file again; what
            then remains is a torn last line, which the next `caw_storage_jsonl.session` mends.
    """
    before = os.fstat(fd).st_size
    rest = memoryview(data)
    try:
        while rest:
            # A second round only past 2 GiB, or to hear from the system why it took less.
            rest = rest[os.write(fd, rest) :]
        getattr(os, "fdatasync", os.fsync)(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, before)
        raise


def replace(path: Path, data: bytes) -> None:
    """Write a file whole: readers see the old content or the new, also after a crash."""
    draft = path.with_name(path.name + ".tmp")
    with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
        append(fd, data)
    draft.replace(path)
    sync_folder(path.parent)
