"""``events.jsonl``: the last events of a session, for those who follow it from elsewhere.

One JSON object a line: ``turn``, ``number`` and ``event``, the event's document. The file grows to
twice what is kept and is then written anew, so that an event costs the same whatever came before.
Nothing is synced: what a crash of the machine takes is in the record, or was never said.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Final

from caw_core.document_text import document_lines
from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent
from caw_storage_jsonl import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EVENTS_NAME: Final = "events.jsonl"

MOST_EVENTS: Final = 1000
MOST_BYTES: Final = 4 << 20
"""How much of a running session is kept."""

LAST_BYTES: Final = 64 << 10
"""How much of one that has ended is kept."""

PAUSE: Final = 0.05
"""How often whoever waits looks whether the file has changed, in seconds."""

_WINDOW: Final = 1 << 16
_GROWTH: Final = 4
_PLACE: Final = re.compile(rb'\{"turn":([0-9]+),"number":([0-9]+),"event":.*\}', re.DOTALL)


class EventWriter:
    """Writes one session's events; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / EVENTS_NAME
        self._mutex = threading.Lock()
        self._count = 0

    def write(self, events: Sequence[LiveEvent]) -> None:
        """Add events; drop the oldest ones where there are too many.

        Raises:
            OSError: the disk refused.
        """
        lines = document_lines(
            [
                {"turn": live.turn, "number": live.number, "event": event_to_dict(live.event)}
                for live in events
            ]
        )
        with self._mutex:
            private_files.make_folder(self._folder)
            with private_files.opened(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as fd:
                # What a kill cut short ends here, and is passed over by readers.
                _write_all(fd, lines if self._count else b"\n" + lines)
                size = os.fstat(fd).st_size
            self._count += len(events)
            if self._count > 2 * MOST_EVENTS or size > 2 * MOST_BYTES:
                self._cut(MOST_BYTES)

    def end(self) -> None:
        """Keep only the last ones, for who was about to read them."""
        with self._mutex:
            if self._path.exists():
                self._cut(LAST_BYTES)

    def _cut(self, most_bytes: int) -> None:
        with private_files.opened(self._path) as fd:
            lines = private_files.read_all(fd).splitlines(keepends=True)
        left, first = most_bytes, len(lines)
        while first and len(lines) - first < MOST_EVENTS:
            left -= len(lines[first - 1])
            if left < 0 and first < len(lines):
                break
            first -= 1
        draft = self._path.with_name(EVENTS_NAME + ".tmp")
        with private_files.opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            _write_all(fd, b"".join(lines[first:]))
        draft.replace(self._path)
        self._count = len(lines) - first


def read(path: Path, after: tuple[int, int], limit: int, wait_seconds: float) -> list[LiveEvent]:
    """Return the events after a place, and wait for the first one if need be.

    Args:
        path: the file; it need not be there yet.
        after: turn and number.
        limit: how many at most.
        wait_seconds: how long to wait.

    Raises:
        OSError: it cannot be read.
    """
    deadline = time.monotonic() + wait_seconds
    seen: tuple[int, ...] = ()
    while True:
        state = _state(path)
        if state != seen:
            seen = state
            found = _after(path, after, limit)
            if found:
                return found
        if time.monotonic() >= deadline:
            return []
        time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))


def _state(path: Path) -> tuple[int, ...]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _after(path: Path, after: tuple[int, int], limit: int) -> list[LiveEvent]:
    try:
        with private_files.opened(path) as fd:
            lines = list(_lines_after(fd, os.fstat(fd).st_size, after))
    except FileNotFoundError:
        return []
    return [
        LiveEvent(turn=turn, number=number, event=event_from_dict(json.loads(line)["event"]))
        for (turn, number), line in lines[:limit]
    ]


def _lines_after(
    fd: int, size: int, after: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield them from as far back as need be: who follows wants the last few."""
    window = _WINDOW
    while True:
        start = max(0, size - window)
        data = private_files.read_at(fd, start, size - start)
        lines = list(_placed(data.partition(b"\n")[2] if start else data))
        if not start or (lines and lines[0][0] <= after):
            yield from ((place, line) for place, line in lines if place > after)
            return
        window *= _GROWTH


def _placed(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    for line in data.split(b"\n")[:-1]:
        match = _PLACE.fullmatch(line)
        if match is not None:
            yield (int(match[1]), int(match[2])), line


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
