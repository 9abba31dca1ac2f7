"""A trajectory's JSON file in the wrapper's layout, brought up to date after each turn.

The wrapper wrote the whole file anew at each event. Here a turn costs what it adds: the new turn
and what follows the turns are written over the old end of the file, with one call. The whole is
written anew, beside the file and then in its place, when its beginning changes, as it does at the
session's end, and when somebody else has touched it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caw.models import document_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caw.models import Trajectory, Turn, UsageStats

_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class SnapshotFile:
    """Writes one file, mode 0600, in a folder that is made if need be.

    Args:
        path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._beginning = b""
        self._num_turns = 0
        self._end_at = 0
        self._left: tuple[int, int, int] | None = None

    def write(
        self,
        head: Trajectory,
        turns_from: Callable[[int], list[Turn]],
        total_usage: UsageStats,
    ) -> None:
        """Bring the file up to date.

        Args:
            head: everything but the turns.
            turns_from: returns the turns from an index on; those that it returned before have not
                changed since.
            total_usage: the usage with that of subagents.

        Raises:
            OSError: the disk refuses.
        """
        before, after = document_ends(head, total_usage)
        # json.dumps ends in "\n}" and begins with "{\n".
        beginning = (json.dumps(before, indent=2)[:-2] + ',\n  "turns": [').encode()
        ending = ("\n  ],\n" + json.dumps(after, indent=2)[2:] + "\n").encode()
        if beginning == self._beginning and self._left == _identity(self._path):
            turns = turns_from(self._num_turns)
            added = _text(turns, after_others=self._num_turns > 0)
            self._write_over(added + ending)
            self._num_turns += len(turns)
            self._end_at += len(added)
        else:
            turns = turns_from(0)
            text = _text(turns, after_others=False)
            self._replace(beginning + text + ending)
            self._beginning, self._num_turns = beginning, len(turns)
            self._end_at = len(beginning) + len(text)
        self._left = _identity(self._path)

    def write_whole(self, trajectory: Trajectory) -> None:
        """Bring the file up to date with a trajectory that has its turns; see `write`."""
        self.write(trajectory, lambda start: trajectory.turns[start:], trajectory.total_usage)

    def _write_over(self, data: bytes) -> None:
        fd = os.open(self._path, os.O_WRONLY | _OPEN)
        try:
            os.lseek(fd, self._end_at, os.SEEK_SET)
            _write_all(fd, data)
            os.ftruncate(fd, self._end_at + len(data))
        finally:
            os.close(fd)

    def _replace(self, data: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(self._path.name + ".caw-tmp")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPEN, 0o600)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)
        draft.replace(self._path)


def _text(turns: Iterable[Turn], *, after_others: bool) -> bytes:
    texts = [_indented(turn.to_dict()) for turn in turns]
    return (("," if after_others and texts else "") + ",".join(texts)).encode()


def _indented(document: dict[str, Any]) -> str:
    # Within JSON's strings a line's end is written as an escape.
    return "\n    " + json.dumps(document, indent=2).replace("\n", "\n    ")


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
