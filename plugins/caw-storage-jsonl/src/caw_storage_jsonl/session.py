"""One session's folder as its writer sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import SessionBusyError, StorageError
from caw_core.serialize import trajectory_to_dict
from caw_storage_jsonl import lease, private_files, record, sharing
from caw_storage_jsonl.lines import (
    TRUTH_NAME,
    DamagedLineError,
    Position,
    WrittenTurn,
    metadata_line,
    turn_lines,
)
from caw_storage_jsonl.live import EventWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core.storage import LiveEvent
    from caw_core.trajectory import SessionInfo, Turn

TURNS_NAME = "turns"

_PAUSES = (0.001, 0.01, 0.05, 0.2)
"""How long to wait, in seconds, before a lock counts as taken: a list holds it for a moment."""


@attrs.define(kw_only=True)
class _Known:
    """What this process knows of ``traj.jsonl`` as long as nobody else touches the file."""

    identity: tuple[int, int]
    size: int
    head_line: bytes
    metadata_at: int
    turns: set[int]
    last_turn: int
    shared: int
    last: tuple[int, WrittenTurn | None] | None = None

    @property
    def position(self) -> Position:
        """What a line may say of the file as it is now."""
        return Position(
            num_turns=len(self.turns), last_turn=self.last_turn, metadata_at=self.metadata_at
        )


class SessionWriter:
    """Writes one session; safe to use from several threads.

    Each call opens the file anew, so that any number of sessions needs no descriptors while it
    rests. What it remembers of the file is one turn, whatever the number of turns.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / TRUTH_NAME
        self._mutex = threading.Lock()
        self._lease: lease.FileLease | None = None
        self._known: _Known | None = None
        self._raw_written: tuple[int, int] | None = None
        self._events = EventWriter(folder)

    def lease(self) -> lease.FileLease:
        """Take the session's lock until `caw_storage_jsonl.lease.FileLease.release`."""
        with self._mutex, private_files.naming(self._folder, "lock"):
            self._lease = _taken(self._folder)
            self._lease.kept = self
            return self._lease

    def write(self, session: SessionInfo, turn: Turn | None = None) -> None:
        """Bring the folder up to *session* and *turn*; what is there already is not written again.

        Raises:
            SessionBusyError: another process or another storage holds the session.
            StorageError: nothing was written.
            TrajectoryError: the file is damaged or of a newer version, so nothing was added to it.
        """
        with self._mutex, private_files.naming(self._path, "write"), self._locked():
            with private_files.opened(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as fd:
                self._append(fd, session, turn)
            if turn is not None and turn.raw_output and turn.status != "running":
                self._write_raw(turn)
            if turn is None and session.completed_at:
                self._write_snapshot(session.session_id)
                self._events.end()

    def share(self, session: SessionInfo, parent: Path, stop: int) -> bool:
        """Begin the record with the turns below *stop* of the session in another folder.

        Returns:
            Whether it has them now; False where they must be copied.

        Raises:
            SessionBusyError: another process or another storage holds the session.
            StorageError: the disk refused.
        """
        with self._mutex, private_files.naming(self._path, "write"), self._locked():
            with private_files.opened(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as fd:
                self._append(fd, session, None)
                known = self._known
                if known is None or known.turns:
                    # It may have them since an earlier call.
                    return known is not None and known.turns == set(range(stop))
                with contextlib.suppress(DamagedLineError):
                    shared = sharing.share(parent, self._folder, stop)
                    if shared is not None:
                        line = shared.line(known.metadata_at)
                        private_files.append(fd, line)
                        # What the line says is read back by the next call.
                        self._known = None
                        return True
            return False

    def publish(self, events: Sequence[LiveEvent]) -> None:
        """Let others see events; the record has nothing to do with them.

        Raises:
            SessionBusyError: another process or another storage holds the session.
            StorageError: the disk refused.
        """
        with private_files.naming(self._folder, "write"):
            if self._lease is not None and self._lease.held:
                self._lease.check()
            self._events.write(events)

    def delete(self) -> bool:
        """Remove the folder and everything in it; return whether it held a record."""
        with self._mutex, private_files.naming(self._folder, "delete"):
            if not private_files.is_real_folder(self._folder):
                return False
            with self._locked():
                self._known = self._raw_written = None
                # The copy goes first: without the truth it would pass for the record.
                found = [self._remove(record.SNAPSHOT_NAME), self._remove(TRUTH_NAME)]
                for entry in list(os.scandir(self._folder)):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    elif entry.name != lease.LOCK_NAME:
                        Path(entry.path).unlink()
            return any(found)

    def _remove(self, name: str) -> bool:
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Every write happens under the lock, with a lease or without, so a process that lost its
        # session to another one cannot write into it late.
        if self._lease is not None and self._lease.held:
            self._lease.check()
            yield
            return
        passing = _taken(self._folder)
        try:
            yield
        finally:
            passing.release()

    def _append(self, fd: int, session: SessionInfo, turn: Turn | None) -> None:
        status = os.fstat(fd)
        known, self._known = self._known, None
        lines = b""
        if known is None or (known.identity, known.size) != (_identity(status), status.st_size):
            known, lines = self._open(fd, session.session_id)
        head = metadata_line(session)
        if head != known.head_line:
            known.head_line, known.metadata_at = head, known.size + len(lines)
            lines += head
        # What is shared has ended, so a running state of it is late.
        if turn is not None and not (turn.status == "running" and turn.index < known.shared):
            written = self._written(fd, known, turn.index)
            known.turns.add(turn.index)
            known.last_turn = max(known.last_turn, turn.index)
            new, written = turn_lines(turn, written, known.position)
            lines += new
            known.last = (turn.index, written)
        if lines:
            private_files.append(fd, lines)
            if not known.size:
                private_files.sync_folder(self._folder)
        known.size += len(lines)
        self._known = known

    def _open(self, fd: int, session_id: str) -> tuple[_Known, bytes]:
        truth = record.parse_truth(private_files.read_all(fd), self._path)
        lines = b"\n" if truth.unterminated else b""
        os.ftruncate(fd, truth.end)
        shared = truth.shared.stop if truth.shared else 0
        turns = {*truth.turns, *range(shared)}
        if not truth.taken_over:
            # From now on the lines are the truth, so what only the snapshot knows goes there.
            old = record.complete(truth, self._folder, session_id)
            missing = [
                turn for turn in (old.turns if old else ()) if not truth.is_settled(turn.index)
            ]
            turns.update(turn.index for turn in missing)
            position = Position(
                num_turns=len(turns),
                last_turn=max(turns, default=-1),
                metadata_at=truth.metadata_at,
            )
            lines += b"".join(turn_lines(turn, None, position)[0] for turn in missing)
        status = os.fstat(fd)
        known = _Known(
            identity=_identity(status),
            size=status.st_size,
            head_line=truth.head_line,
            metadata_at=truth.metadata_at,
            turns=turns,
            last_turn=max(turns, default=-1),
            shared=shared,
        )
        return known, lines

    def _written(self, fd: int, known: _Known, index: int) -> WrittenTurn | None:
        if known.last is not None and known.last[0] == index:
            return known.last[1]
        if index not in known.turns:
            return None
        # Somebody comes back to an earlier turn, such as a flush or the first call after a crash.
        truth = record.parse_truth(private_files.read_all(fd), self._path)
        stored = truth.turns.get(index)
        with record.naming_file(self._path):
            return stored.written() if stored else None

    def _write_raw(self, turn: Turn) -> None:
        if self._raw_written == (turn.index, len(turn.raw_output)):
            return
        turns = self._folder / TURNS_NAME
        private_files.make_folder(turns)
        texts = {"input.txt": turn.input, "raw_output.jsonl": "\n".join((*turn.raw_output, ""))}
        for name, text in texts.items():
            path = turns / f"{turn.index:03d}_{name}"
            private_files.replace(path, text.encode(errors="backslashreplace"))
        self._raw_written = (turn.index, len(turn.raw_output))

    def _write_snapshot(self, session_id: str) -> None:
        whole = record.load(self._folder, session_id)
        if whole is None:
            msg = f"cannot write {self._folder / record.SNAPSHOT_NAME}: {self._path} is gone"
            raise StorageError(msg)
        document = trajectory_to_dict(whole)
        try:
            text = json.dumps(document, indent=2, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            text = json.dumps(document, indent=2).encode()
        path = self._folder / record.SNAPSHOT_NAME
        with contextlib.suppress(FileNotFoundError), private_files.opened(path) as fd:
            if private_files.read_all(fd) == text + b"\n":
                return
        private_files.replace(path, text + b"\n")


def _taken(folder: Path) -> lease.FileLease:
    for pause in _PAUSES:
        with contextlib.suppress(SessionBusyError):
            return lease.take(folder)
        time.sleep(pause)
    return lease.take(folder)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
