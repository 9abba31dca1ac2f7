"""What is read: ``traj.jsonl`` and ``trajectory.json`` back to values.

``traj.jsonl`` is the truth. Lines of the existing wrapper (coding-agent-wrapper 0.1.9) are told by
what they lack, since it writes no version: its ``user`` lines have no ``started_at``, its blocks
no ``block_index``, its ``turn_end`` no ``num_blocks``, its ``metadata`` no ``version``. It wrote
the head once, before the agent had given its resume key, so for its sessions ``trajectory.json``
completes what the lines say.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import TrajectoryFormatError
from caw_core.migrations import migrate
from caw_core.serialize import trajectory_from_dict
from caw_core.storage import UNFINISHED
from caw_core.trajectory import Trajectory
from caw_storage_jsonl import private_files, sharing
from caw_storage_jsonl.lines import OWN, TRUTH_NAME, DamagedLineError, Shared
from caw_storage_jsonl.stored import (
    WRAPPER_VERSION,
    StoredTurn,
    count_of,
    is_copy,
    members_of,
    parse_line,
)
from caw_storage_jsonl.tail import read_tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from caw_core.storage import TurnRange

SNAPSHOT_NAME = "trajectory.json"


class Truth:
    """The content of one ``traj.jsonl``."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        self.head_line = b""
        self.metadata_at = 0
        self.version = WRAPPER_VERSION
        self.taken_over = False
        self.turns: dict[int, StoredTurn] = {}
        self.end = 0
        self.unterminated = False
        self.shared: Shared | None = None
        self._wrapper_turns: dict[Any, StoredTurn] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no line was ever completed."""
        return not self.head and not self.turns

    def is_settled(self, index: int) -> bool:
        """Whether the lines alone tell the turn.

        A session of the existing wrapper is taken over by writing what only its snapshot knows
        and then, last, a head. Without that head such a turn may have been cut short.
        """
        turn = self.turns.get(index)
        if turn is None:
            return False
        return self.taken_over or (bool(self.head) and turn.version == WRAPPER_VERSION)

    def take(self, line: Mapping[str, Any]) -> None:
        """Take the next line."""
        kind = line["type"]
        if is_copy(line):
            return
        if kind == "metadata":
            self.head = members_of(line)
            # An own reading of the version: only `migrate` may judge one that is not known.
            version = self.head.get("version", WRAPPER_VERSION)
            self.version = version if isinstance(version, int) else WRAPPER_VERSION
            self.taken_over |= self.version > WRAPPER_VERSION
        elif kind == "user":
            self._begin(line).take(line)
        elif kind == "turn_end":
            self._turn(line, new="num_blocks" in line).take(line)
        elif kind == "turn_update":
            self._turn(line, new=True).take(line)
        elif kind == "shared":
            self.shared = Shared.of(line)
        elif kind in OWN or "block_index" in line:
            self._turn(line, new="block_index" in line).take(line)

    def _begin(self, line: Mapping[str, Any]) -> StoredTurn:
        index = count_of(line, "turn_index")
        if "started_at" in line:
            turn = self.turns.get(index)
            if turn is None or turn.version == WRAPPER_VERSION:
                turn = StoredTurn(index, max(self.version, WRAPPER_VERSION + 1))
            self.turns[index] = turn
            return turn
        # The wrapper counted again from somewhere after some resumes, so order is what counts.
        turn = StoredTurn(max(self.turns, default=-1) + 1, WRAPPER_VERSION)
        self.turns[turn.index] = self._wrapper_turns[index] = turn
        return turn

    def _turn(self, line: Mapping[str, Any], *, new: bool) -> StoredTurn:
        index = count_of(line, "turn_index")
        turn = (self.turns if new else self._wrapper_turns).get(index)
        if turn is None:
            msg = f"belongs to turn {index}, which has not begun"
            raise DamagedLineError(msg)
        return turn

    def trajectory(self, session_id: str) -> Trajectory:
        """Return the record."""
        return trajectory_of(self.head, self.turns, session_id)


def trajectory_of(
    head: Mapping[str, Any], turns: Mapping[int, StoredTurn], session_id: str
) -> Trajectory:
    """Return the record with this head and these turns, each in the version that it has."""
    head = migrate({"session_id": session_id, **head})
    head["session_id"] = head["session_id"] or session_id
    documents = [
        migrate({"version": turn.version, "turns": [turn.document()]})["turns"][0]
        for _, turn in sorted(turns.items())
    ]
    return trajectory_from_dict({**head, "turns": documents})


def parse_truth(data: bytes, path: Path) -> Truth:
    """Read the content of ``traj.jsonl``.

    A last line that is cut short was never acknowledged; it is passed over, and ``end`` is where
    it begins.

    Args:
        data: the bytes.
        path: where they come from, for messages.

    Raises:
        TrajectoryFormatError: a line is damaged; the problem names the file and the line.
    """
    truth = Truth()
    for number, raw in enumerate(io.BytesIO(data), 1):
        try:
            line = parse_line(raw) if raw.strip() else None
        except DamagedLineError as error:
            if not raw.endswith(b"\n"):
                break
            raise TrajectoryFormatError([f"{path}, line {number}: {error}"]) from error
        try:
            if line is not None:
                truth.take(line)
                if line["type"] == "metadata" and not is_copy(line):
                    truth.head_line, truth.metadata_at = raw, truth.end
        except DamagedLineError as error:
            raise TrajectoryFormatError([f"{path}, line {number}: {error}"]) from error
        truth.end += len(raw)
        truth.unterminated = not raw.endswith(b"\n")
    return truth


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Put *path* in front of each problem of a `TrajectoryFormatError` inside."""
    try:
        yield
    except DamagedLineError as error:
        raise TrajectoryFormatError([f"{path}: {error}"]) from error
    except TrajectoryFormatError as error:
        raise TrajectoryFormatError([f"{path}: {problem}" for problem in error.problems]) from error


def load(folder: Path, session_id: str) -> Trajectory | None:
    """Read the record of the session in *folder*.

    Returns:
        The record, or None if nothing was ever stored there.

    Raises:
        OSError: a file cannot be read.
        TrajectoryError: its content cannot be understood; never None for that.
    """
    if not private_files.is_real_folder(folder):
        return None
    truth = _parse_file(folder / TRUTH_NAME)
    if truth.shared is not None:
        with naming_file(folder / TRUTH_NAME):
            shared = sharing.turns_of(folder, truth.shared, range(truth.shared.stop))
        truth.turns = shared | truth.turns
    return complete(truth, folder, session_id)


def load_range(folder: Path, session_id: str, turns: TurnRange) -> Trajectory | None:
    """Read some turns, from the end of the file on; otherwise as `load`."""
    found = _load_from_the_end(folder, session_id, turns)
    if found is None:
        found = load(folder, session_id)
    return found and attrs.evolve(found, turns=turns.of(found.turns))


def _load_from_the_end(folder: Path, session_id: str, turns: TurnRange) -> Trajectory | None:
    """Return a record with the wanted turns; None if only the whole file tells them."""
    if not private_files.is_real_folder(folder):
        return None
    path = folder / TRUTH_NAME
    try:
        with private_files.opened(path) as fd:
            tail = read_tail(fd, os.fstat(fd).st_size, lambda tail: tail.knows(turns))
        wanted = tail.wanted(turns)
        if tail.foreign or tail.head is None or wanted is None:
            return None
        found = {place: tail.turns[place] for place in wanted if place in tail.turns}
        if tail.shared is not None:
            rest = [place for place in wanted if place not in found]
            found |= sharing.turns_of(folder, tail.shared, rest)
        record = trajectory_of(tail.head, found, session_id)
    except (FileNotFoundError, DamagedLineError, TrajectoryFormatError):
        # Whoever reads it all can name the file and the line.
        return None
    return record if record.session_id == session_id else None


def complete(truth: Truth, folder: Path, session_id: str) -> Trajectory | None:
    """Return the record that *truth* tells, with what only ``trajectory.json`` still knows."""
    path = folder / TRUTH_NAME
    record = None
    if not truth.head:
        record = _snapshot(folder, session_id)
    if record is None and not truth.is_empty:
        with naming_file(path):
            record = truth.trajectory(session_id)
        if not truth.taken_over:
            record = _completed(record, truth, folder, session_id)
    if record is not None and record.session_id != session_id:
        raise TrajectoryFormatError([f"{path}: holds session {record.session_id!r}"])
    return record


def _parse_file(path: Path) -> Truth:
    try:
        with private_files.opened(path) as fd:
            data = private_files.read_all(fd)
    except FileNotFoundError:
        data = b""
    return parse_truth(data, path)


def _completed(record: Trajectory, truth: Truth, folder: Path, session_id: str) -> Trajectory:
    try:
        snapshot = _snapshot(folder, session_id)
    except TrajectoryFormatError:
        # The wrapper wrote it in place at each step, so its death leaves it torn now and then.
        return record
    if snapshot is None:
        return record
    # It wrote the lines of a turn when the turn was over, but the snapshot also in between.
    told = [turn for turn in record.turns if truth.is_settled(turn.index)]
    begun = [
        attrs.evolve(turn, status="unknown", error=UNFINISHED)
        for turn in snapshot.turns[len(told) :]
    ]
    return Trajectory.of(snapshot.info, (*told, *begun))


def _snapshot(folder: Path, session_id: str) -> Trajectory | None:
    path = folder / SNAPSHOT_NAME
    try:
        with private_files.opened(path) as fd:
            data = private_files.read_all(fd)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TrajectoryFormatError([f"{path}: is no JSON"]) from error
    with naming_file(path):
        record = trajectory_from_dict(document)
    return record if record.session_id else attrs.evolve(record, session_id=session_id)
