"""Lists of sessions, made from the beginning and the end of each session's file."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core.errors import TrajectoryError
from caw_core.handles import is_session_id
from caw_core.listing import Place, matches, title_of, utc_text
from caw_core.locks import lock_descriptor
from caw_core.serialize import session_info_from_dict
from caw_core.storage import SessionPage, SessionQuery, SessionSummary
from caw_storage_jsonl import private_files, record
from caw_storage_jsonl.lease import LOCK_NAME
from caw_storage_jsonl.lines import TRUTH_NAME, DamagedLineError
from caw_storage_jsonl.tail import Tail, read_tail, title_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.trajectory import Trajectory


def list_page(root: Path, query: SessionQuery) -> SessionPage:
    """Return one page of the sessions in *root*, those last written first.

    The cursor names the last session of the page, so sessions that are written meanwhile move to
    the front and no other is shown twice or left out.

    Raises:
        ConfigError: the cursor cannot be understood.
        OSError: *root* cannot be read; one session that cannot is listed as unreadable.
    """
    places = places_after(root, Place.at(query.cursor) if query.cursor else None)
    summaries: list[SessionSummary] = []
    unreadable: list[tuple[str, str]] = []
    for place in places:
        if len(summaries) == query.limit:
            break
        moment = datetime.fromisoformat(_written(place))
        if query.since is not None and moment < query.since:
            # All that follow are older.
            return SessionPage(sessions=tuple(summaries), unreadable=tuple(unreadable))
        if query.until is None or moment < query.until:
            try:
                summary = _summary(root / place.session_id, place)
            except (OSError, TrajectoryError, DamagedLineError) as error:
                unreadable.append((place.session_id, str(error)))
            else:
                if summary is not None and matches(summary, query):
                    summaries.append(summary)
        last = place
    else:
        return SessionPage(sessions=tuple(summaries), unreadable=tuple(unreadable))
    return SessionPage(
        sessions=tuple(summaries), next_cursor=last.cursor, unreadable=tuple(unreadable)
    )


def places_after(root: Path, after: Place | None) -> list[Place]:
    """Return where the sessions in *root* are in a list, those last written first.

    Args:
        root: the folder of all sessions.
        after: only those behind this place; None for all.

    Raises:
        OSError: it cannot be read.
    """
    places = sorted(_places(root), reverse=True)
    return places if after is None else [place for place in places if place < after]


def _places(root: Path) -> Iterator[Place]:
    if not private_files.is_real_folder(root):
        return
    for folder in os.scandir(root):
        if folder.name.startswith(".") or not (folder.is_dir() or folder.is_symlink()):
            continue
        yield Place(_written_at(folder), folder.name)


def _written_at(folder: os.DirEntry[str]) -> int:
    for name in (TRUTH_NAME, record.SNAPSHOT_NAME, ""):
        try:
            return Path(folder.path, name).lstat().st_mtime_ns
        except OSError:
            # Listed all the same: reading it will say what is wrong with it.
            continue
    return 0


def _written(place: Place) -> str:
    return utc_text(place.written / 1e9)


def _summary(folder: Path, place: Place) -> SessionSummary | None:
    if not is_session_id(place.session_id):
        msg = f"{folder}: its name is no session id"
        raise TrajectoryError(msg)
    if not private_files.is_real_folder(folder):
        return None
    try:
        with private_files.opened(folder / TRUTH_NAME) as fd:
            size = os.fstat(fd).st_size
            tail = read_tail(fd, size, _is_enough)
            title = title_at(fd, size) if tail.num_turns else ""
    except FileNotFoundError:
        tail = None
    if tail is None or tail.head is None or tail.num_turns is None or tail.foreign:
        # Only the whole record tells it.
        whole = record.load(folder, place.session_id)
        return None if whole is None else _of_record(whole, place)
    with record.naming_file(folder / TRUTH_NAME):
        info = session_info_from_dict(tail.head)
    lost = tail.status == "running" and not _has_writer(folder)
    return SessionSummary(
        info=info,
        num_turns=tail.num_turns,
        title=title,
        updated_at=_written(place),
        status="unknown" if lost else tail.status or "",
    )


def _is_enough(tail: Tail) -> bool:
    return None not in (tail.head, tail.num_turns, tail.status)


def _of_record(whole: Trajectory, place: Place) -> SessionSummary:
    return SessionSummary(
        info=whole.info,
        num_turns=whole.num_turns,
        title=title_of(whole.turns[0].input) if whole.turns else "",
        updated_at=_written(place),
        status=whole.turns[-1].status if whole.turns else "",
    )


def _has_writer(folder: Path) -> bool:
    try:
        with private_files.opened(folder / LOCK_NAME) as fd:
            # To take it is the only way to ask; it is given back at once.
            return not lock_descriptor(fd)
    except FileNotFoundError:
        return False
