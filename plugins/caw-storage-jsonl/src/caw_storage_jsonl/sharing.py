"""Forks: the beginning of a parent's file becomes a second name of it in the fork's folder.

So nothing is copied, and the parent's deletion takes only its own name away. Where a file system
has no second names (hard links), nothing is shared and the core stores the turns one by one.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import attrs

from caw_storage_jsonl import private_files
from caw_storage_jsonl.lines import TRUTH_NAME, DamagedLineError, Segment, Shared
from caw_storage_jsonl.stored import WRAPPER_VERSION
from caw_storage_jsonl.tail import Tail, lines_from, read_tail, title_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from caw_storage_jsonl.stored import StoredTurn


def share(parent: Path, folder: Path, stop: int) -> Shared | None:
    """Give the files with the first turns of a session a second name in another one's folder.

    Args:
        parent: the folder of the session whose turns they are.
        folder: that of the fork, whose lock is held.
        stop: the turns with an index below it are wanted.

    Returns:
        What the fork's ``shared`` line must say; None if they cannot be shared.

    Raises:
        OSError: a file cannot be read.
        DamagedLineError: one of them cannot be understood.
    """
    if not stop or not private_files.is_real_folder(parent):
        return None
    try:
        with private_files.opened(parent / TRUTH_NAME) as fd:
            status = os.fstat(fd)
            tail = read_tail(fd, status.st_size, _is_counted)
            first = next(lines_from(fd, 0, status.st_size), {})
            begun_with = next(_shared_lines(fd, status.st_size), None)
            title = title_at(fd, status.st_size)
    except FileNotFoundError:
        return None
    # Only one who reads it all finds holes, and turns that the existing wrapper wrote.
    own = first.get("version", WRAPPER_VERSION) > WRAPPER_VERSION and not tail.foreign
    if not (own and tail.num_turns and tail.last_turn == tail.num_turns - 1 >= stop - 1):
        return None
    files = [(each.file, each.end, each.stop) for each in begun_with.segments] if begun_with else []
    files.append((TRUTH_NAME, tail.end, stop))
    segments = []
    for number, (name, end, below) in enumerate(files):
        segments.append(Segment(file=f"shared-{number}.jsonl", end=end, stop=min(below, stop)))
        if not _link(parent / name, folder / segments[-1].file):
            return None
    if not os.path.samestat(status, (folder / segments[-1].file).lstat()):
        # The parent was deleted and made anew in between.
        return None
    private_files.sync_folder(folder)
    shared = Shared(stop=stop, segments=tuple(segments), title="", status="")
    last = turns_of(folder, shared, [stop - 1])[stop - 1]
    return attrs.evolve(shared, title=title, status=str(last.document()["status"]))


def turns_of(folder: Path, shared: Shared, places: Sequence[int]) -> dict[int, StoredTurn]:
    """Return turns that a session shares, by index.

    Args:
        folder: the session's.
        shared: what its ``shared`` line says.
        places: the indices, in order.

    Raises:
        OSError: a file cannot be read.
        DamagedLineError: one of them cannot be understood, or a turn is missing.
    """
    found: dict[int, StoredTurn] = {}
    for segment in reversed(shared.segments):
        missing = [place for place in places if place < segment.stop and place not in found]
        if not missing:
            continue
        with private_files.opened(folder / segment.file) as fd:
            tail = read_tail(fd, segment.end, lambda tail: tail.turns.keys() >= set(missing))  # noqa: B023 - called before the loop goes on
        found |= {place: tail.turns[place] for place in missing if place in tail.turns}
    lost = [place for place in places if place not in found]
    if lost:
        msg = f"the turns {lost} that it shares are missing"
        raise DamagedLineError(msg)
    return found


def _is_counted(tail: Tail) -> bool:
    return tail.num_turns is not None


def _shared_lines(fd: int, size: int) -> Iterator[Shared]:
    for line in lines_from(fd, 0, size):
        if line["type"] == "shared":
            yield Shared.of(line)
        elif line["type"] != "metadata":
            return


def _link(source: Path, target: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        # Of an attempt that a crash cut short.
        target.unlink()
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        return False
    return True
