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
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import TrajectoryFormatError
from caw_core.migrations import migrate
from caw_core.serialize import block_from_dict, trajectory_from_dict
from caw_core.trajectory import ErrorInfo, Trajectory
from caw_storage_jsonl import private_files
from caw_storage_jsonl.lines import OWN, RESERVED, SHADOWED, WrittenTurn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TRUTH_NAME = "traj.jsonl"
SNAPSHOT_NAME = "trajectory.json"

WRAPPER_VERSION = 1
_UNFINISHED = ErrorInfo(
    type="TurnInterruptedError",
    message=(
        "the process that ran this turn died before the turn ended, so it is not known what else "
        "was done. Look before you ask for the same again."
    ),
)
_UNFINISHED_DOCUMENT = {"type": _UNFINISHED.type, "message": _UNFINISHED.message}


class DamagedLineError(ValueError):
    """A line that cannot be understood; whoever knows the file names it."""


def parse_line(raw: bytes) -> dict[str, Any]:
    """Return the object on one line, or raise `DamagedLineError`."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        msg = "is no JSON"
        raise DamagedLineError(msg) from error
    if not isinstance(line, dict) or not isinstance(line.get("type"), str):
        msg = "is no object with a type"
        raise DamagedLineError(msg)
    return line


def is_copy(line: Mapping[str, Any]) -> bool:
    """Tell the lines that the wrapper copied from a subagent's session."""
    return "subagent" in line


class StoredTurn:
    """One turn as its lines tell it."""

    def __init__(self, index: int, version: int) -> None:
        self.index = index
        self.version = version
        self.message: Any = ""
        self.state: dict[str, Any] = {}
        self.ended = False
        self.num_blocks: int | None = None
        self.blocks: dict[int, dict[str, Any]] = {}
        self.halves: set[int] = set()

    def begin(self, line: Mapping[str, Any]) -> None:
        """Take a ``user`` line."""
        self.message = line.get("message", "")
        self.state = members_of(line)
        self.ended = False

    def end(self, line: Mapping[str, Any]) -> None:
        """Take a ``turn_end`` line."""
        self.state = members_of(line)
        self.ended = True
        self.num_blocks = count_of(line, "num_blocks") if "num_blocks" in line else None

    def add(self, line: Mapping[str, Any]) -> None:
        """Take a line with a block or half of one."""
        kind = line["type"]
        if "block_index" in line:
            index = count_of(line, "block_index")
        elif kind == "tool_result":
            index = self._wrapper_call(line.get("id"))
        else:
            index = len(self.blocks)
        if kind == "tool_call":
            self._call(index, line)
        elif kind == "tool_result":
            self._result(index, line)
        elif kind == "block":
            if not isinstance(line.get("block"), dict):
                msg = "its block is no object"
                raise DamagedLineError(msg)
            self.blocks[index] = line["block"]
            self.halves.discard(index)
        else:
            self.blocks[index] = {"type": kind, **members_of(line)}
            self.halves.discard(index)

    def _call(self, index: int, line: Mapping[str, Any]) -> None:
        call = {"type": "tool_use", **{key: line.get(key) for key in ("id", "name", "arguments")}}
        before = self.blocks.get(index, {})
        known = (before.get("type"), before.get("id")) == ("tool_use", call["id"])
        if known and index not in self.halves:
            self.blocks[index] = {**before, **call}
            return
        self.blocks[index] = {**call, "status": "running"}
        self.halves.add(index)

    def _result(self, index: int, line: Mapping[str, Any]) -> None:
        before = self.blocks.get(index, {})
        call = {"type": "tool_use", "id": line.get("id"), "name": line.get("name")}
        call["arguments"] = before.get("arguments", {})
        self.blocks[index] = {**call, **members_of(line)}
        self.halves.discard(index)

    def _wrapper_call(self, call_id: object) -> int:
        for index in sorted(self.halves, reverse=True):
            if self.blocks[index].get("id") == call_id:
                return index
        return len(self.blocks)

    def document(self) -> dict[str, Any]:
        """Return the turn's document, in the version that its lines were written in."""
        wanted = sorted(self.blocks)
        if self.ended and self.num_blocks is not None:
            wanted = [index for index in wanted if index < (self.num_blocks or 0)]
            if len(wanted) < self.num_blocks:
                msg = f"turn {self.index} has {len(wanted)} of its {self.num_blocks} blocks"
                raise DamagedLineError(msg)
        document = {
            "usage": {},
            "duration_ms": 0,
            **self.state,
            "index": self.index,
            "input": self.message,
            "output": [self.blocks[index] for index in wanted],
        }
        if not self.ended:
            document |= {"status": "unknown", "error": _UNFINISHED_DOCUMENT}
        return document

    def written(self) -> WrittenTurn | None:
        """Return what the file holds of the turn; None if it must be written anew."""
        if self.version == WRAPPER_VERSION:
            return None
        return WrittenTurn(
            message=self.message,
            state=self.state,
            ended=self.ended,
            num_blocks=self.num_blocks or 0,
            blocks={
                index: (block_from_dict(document), index not in self.halves)
                for index, document in self.blocks.items()
            },
        )


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
            self._begin(line).begin(line)
        elif kind == "turn_end":
            self._turn(line, new="num_blocks" in line).end(line)
        elif kind == "turn_update":
            self._turn(line, new=True).state = members_of(line)
        elif kind in OWN or "block_index" in line:
            self._turn(line, new="block_index" in line).add(line)

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
        head = migrate({"session_id": session_id, **self.head})
        head["session_id"] = head["session_id"] or session_id
        turns = [
            migrate({"version": turn.version, "turns": [turn.document()]})["turns"][0]
            for _, turn in sorted(self.turns.items())
        ]
        return trajectory_from_dict({**head, "turns": turns})


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
    return complete(truth, folder, session_id)


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
        attrs.evolve(turn, status="unknown", error=_UNFINISHED)
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


def members_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of the value that stands on a line, without the line's own."""
    own = OWN.get(line["type"], OWN["text"])
    shadowed = line.get(SHADOWED, {})
    if not isinstance(shadowed, dict):
        msg = f"its {SHADOWED} is no object"
        raise DamagedLineError(msg)
    return {
        **{key: item for key, item in line.items() if key not in own and key not in RESERVED},
        **shadowed,
    }


def count_of(line: Mapping[str, Any], member: str) -> int:
    """Return a member that counts something, or raise `DamagedLineError`."""
    value = line.get(member)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"its {member} is no count"
        raise DamagedLineError(msg)
    return value
