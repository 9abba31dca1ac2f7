"""Lists of sessions, made from the beginning and the end of each session's file."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ConfigError, TrajectoryError
from caw_core.handles import is_session_id
from caw_core.serialize import session_info_from_dict
from caw_core.storage import SessionPage, SessionQuery, SessionSummary
from caw_storage_jsonl import private_files, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.trajectory import Trajectory

_WINDOW = 1 << 16
_TITLE_LENGTH = 80
_CURSOR = re.compile(r"(\d{1,20})-(.+)", re.DOTALL)


@attrs.frozen(order=True)
class _Entry:
    """A session's place in the list: when it was last written, in nanoseconds, and its id."""

    mtime_ns: int
    session_id: str


def list_page(root: Path, query: SessionQuery) -> SessionPage:
    """Return one page of the sessions in *root*, those last written first.

    The cursor names the last session of the page, so sessions that are written meanwhile move to
    the front and no other is shown twice or left out.

    Raises:
        ConfigError: the limit or the cursor cannot be understood.
        OSError: *root* cannot be read; one session that cannot is listed as unreadable.
    """
    if query.limit < 1:
        msg = f"SessionQuery.limit must be at least 1, not {query.limit}"
        raise ConfigError(msg)
    entries = sorted(_entries(root), reverse=True)
    if query.cursor:
        after = _decode(query.cursor)
        entries = [entry for entry in entries if entry < after]
    summaries: list[SessionSummary] = []
    unreadable: list[tuple[str, str]] = []
    for entry in entries:
        if len(summaries) == query.limit:
            break
        try:
            summary = _summary(root / entry.session_id, entry)
        except (OSError, TrajectoryError, record.DamagedLineError) as error:
            unreadable.append((entry.session_id, str(error)))
        else:
            if summary is not None and query.provider in ("", summary.info.provider):
                summaries.append(summary)
        last = entry
    else:
        return SessionPage(sessions=tuple(summaries), unreadable=tuple(unreadable))
    return SessionPage(
        sessions=tuple(summaries),
        next_cursor=f"{last.mtime_ns}-{last.session_id}",
        unreadable=tuple(unreadable),
    )


def _decode(cursor: str) -> _Entry:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        msg = f"{cursor!r} is no cursor of this storage; pass SessionPage.next_cursor"
        raise ConfigError(msg)
    return _Entry(int(match[1]), match[2])


def _entries(root: Path) -> Iterator[_Entry]:
    if not private_files.is_real_folder(root):
        return
    for folder in os.scandir(root):
        if folder.name.startswith(".") or not (folder.is_dir() or folder.is_symlink()):
            continue
        yield _Entry(_written_at(folder), folder.name)


def _written_at(folder: os.DirEntry[str]) -> int:
    for name in (record.TRUTH_NAME, record.SNAPSHOT_NAME, ""):
        try:
            return Path(folder.path, name).lstat().st_mtime_ns
        except OSError:
            # Listed all the same: reading it will say what is wrong with it.
            continue
    return 0


def _summary(folder: Path, entry: _Entry) -> SessionSummary | None:
    if not is_session_id(entry.session_id):
        msg = f"{folder}: its name is no session id"
        raise TrajectoryError(msg)
    if not private_files.is_real_folder(folder):
        return None
    try:
        with private_files.opened(folder / record.TRUTH_NAME) as fd:
            found = _skim(fd, os.fstat(fd).st_size)
    except FileNotFoundError:
        found = None
    if found is None:
        whole = record.load(folder, entry.session_id)
        return None if whole is None else _of_record(whole, entry)
    head, num_turns, title = found
    with record.naming_file(folder / record.TRUTH_NAME):
        info = session_info_from_dict(head)
    return SessionSummary(info=info, num_turns=num_turns, title=title, updated_at=_iso(entry))


def _of_record(whole: Trajectory, entry: _Entry) -> SessionSummary:
    title = _title(whole.turns[0].input) if whole.turns else ""
    return SessionSummary(
        info=whole.info, num_turns=whole.num_turns, title=title, updated_at=_iso(entry)
    )


def _skim(fd: int, size: int) -> tuple[dict[str, Any], int, str] | None:
    """Return head, number of turns and title; None where only the whole record tells them."""
    window = _WINDOW
    while True:
        start = max(0, size - window)
        head, num_turns = _tail(fd, start, size)
        if not start or (head is not None and num_turns):
            break
        window *= 8
    if head is None or head.get("version", record.WRAPPER_VERSION) == record.WRAPPER_VERSION:
        return None
    title = _first_prompt(fd, size) if num_turns else ""
    return record.members_of(head), num_turns, title


def _tail(fd: int, start: int, size: int) -> tuple[dict[str, Any] | None, int]:
    data = private_files.read_at(fd, start, size - start)
    if start:
        data = data.partition(b"\n")[2]
    head: dict[str, Any] | None = None
    head_at: int | None = None
    num_turns = 0
    for line in _complete_lines(data):
        if line["type"] == "metadata":
            head = line
        elif "num_turns" in line:
            num_turns = max(num_turns, record.count_of(line, "num_turns"))
            head_at = record.count_of(line, "metadata_at")
        elif "turn_index" in line:
            num_turns = max(num_turns, record.count_of(line, "turn_index") + 1)
    if head is None and head_at is not None:
        head = next(_lines_from(fd, head_at, size), None)
    return head, num_turns


def _first_prompt(fd: int, size: int) -> str:
    for line in _lines_from(fd, 0, size):
        if line["type"] == "user":
            return _title(str(line.get("message", "")))
    return ""


def _lines_from(fd: int, offset: int, size: int) -> Iterator[dict[str, Any]]:
    rest = b""
    while offset < size:
        data = private_files.read_at(fd, offset, min(_WINDOW, size - offset))
        offset += len(data)
        whole, newline, rest = (rest + data).rpartition(b"\n")
        yield from _complete_lines(whole + newline)


def _complete_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for raw in data.split(b"\n")[:-1]:
        if raw.strip():
            line = record.parse_line(raw)
            if not record.is_copy(line):
                yield line


def _title(prompt: str) -> str:
    words = " ".join(prompt[: 4 * _TITLE_LENGTH].split())
    return words if len(words) <= _TITLE_LENGTH else words[: _TITLE_LENGTH - 1] + "…"


def _iso(entry: _Entry) -> str:
    seconds = entry.mtime_ns / 1e9
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).isoformat()
