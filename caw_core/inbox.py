"""What a program said and nobody has taken yet, in bounded memory."""

from __future__ import annotations

import io
import logging
import pickle
import queue
import tempfile
import threading
import time
from collections import deque
from typing import IO, Any, Final, Generic, TypeVar

import attrs

from caw_core.events import Event
from caw_core.sizes import size_of

T = TypeVar("T")

log = logging.getLogger("caw.process")

IN_MEMORY: Final = 8 * 1024 * 1024
"""How much may wait in memory, in characters or bytes; the rest waits in a temporary file."""

_BATCHES: Final = 8
"""What goes to the file goes in pieces of this part of what may be in memory: a place for each of
many small lines would fill it as well."""


@attrs.frozen(eq=False)
class _Batch:
    """Items that wait in the file: where, and how many bytes of it."""

    offset: int
    length: int


class Inbox(Generic[T]):
    """A queue between the thread that reads a program and the thread that follows a turn.

    `put` never blocks: the thread that reads must go on reading, since the answer to an interrupt,
    a request for permission or another session's turn may come behind what nobody takes. So when
    the one who follows the turn is slow, what is too much for memory goes to a file without a name,
    which only this process can read and which is gone with it. Named as `queue.SimpleQueue` names
    it.

    Args:
        in_memory: how much may wait in memory.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._room = in_memory
        self._condition = threading.Condition()
        self._entries: deque[Any] = deque()
        self._held = 0
        self._batch: list[T] = []
        self._batch_size = 0
        self._loaded: deque[T] = deque()
        self._file: IO[bytes] | None = None
        self._file_failed = False

    def put(self, item: T) -> None:
        """Add *item*. Bytes, events and what has ``raw`` bytes may go to the file and be a copy."""
        size = _size(item)
        with self._condition:
            waits_in_file = bool(self._batch) or self._held + size > self._room
            if size and waits_in_file and not self._file_failed:
                self._batch.append(item)
                self._batch_size += size
                if self._batch_size * _BATCHES >= self._room:
                    self._write_batch()
            else:
                self._write_batch()
                self._entries.append((item, size))
                self._held += size
            self._condition.notify()

    def get(self, timeout: float | None = None) -> T:
        """Take the oldest item; blocks.

        Args:
            timeout: how long to wait, in seconds; None for as long as it takes.

        Raises:
            queue.Empty: nothing came in that time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while self.empty():
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise queue.Empty
                self._condition.wait(left)
            return self._next()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not (self._loaded or self._entries or self._batch)

    def __del__(self) -> None:
        """Let the file go."""
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def _next(self) -> T:
        if not self._loaded and not self._entries:
            self._loaded.extend(self._batch)
            self._batch, self._batch_size = [], 0
        if not self._loaded:
            entry = self._entries.popleft()
            if not isinstance(entry, _Batch):
                item, size = entry
                self._held -= size
                return item  # type: ignore[no-any-return]  # what `put` was given
            self._loaded.extend(self._read(entry))
        return self._loaded.popleft()

    def _write_batch(self) -> None:
        if not self._batch:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="caw-")  # noqa: SIM115 - until this object goes
            if not any(isinstance(entry, _Batch) for entry in self._entries):
                self._file.truncate(0)
            offset = self._file.seek(0, io.SEEK_END)
            data = pickle.dumps(self._batch, pickle.HIGHEST_PROTOCOL)
            self._file.write(data)
            self._entries.append(_Batch(offset, len(data)))
        except Exception:
            log.exception("what nobody takes waits in memory: it cannot be written to a file")
            self._file_failed = True
            self._entries.extend((item, 0) for item in self._batch)
        self._batch, self._batch_size = [], 0

    def _read(self, batch: _Batch) -> list[T]:
        assert self._file is not None  # noqa: S101 - it was written
        self._file.seek(batch.offset)
        return pickle.loads(self._file.read(batch.length))  # type: ignore[no-any-return]  # noqa: S301 - only we can write it


def _size(item: object) -> int:
    if isinstance(item, bytes):
        return len(item)
    raw = getattr(item, "raw", None)
    if isinstance(raw, bytes):
        # The line and what was read from it.
        return 2 * len(raw)
    return size_of(item) if isinstance(item, Event) else 0
