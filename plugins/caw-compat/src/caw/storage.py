"""The wrapper's writers of records, for scripts that write such files themselves.

caw writes records by itself with ``data_dir=``. What these write has the wrapper's layout, mode
0600, and is read by caw-storage-jsonl.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caw.models import TextBlock, ThinkingBlock, Trajectory, Turn
from caw.snapshot import SnapshotFile
from caw_core.handles import check_new_session_id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonlWriter", "SessionStore"]


class JsonlWriter:
    """Adds lines to a file of JSON lines; several processes may.

    Args:
        path: the file; its folder is there.
        subagent: stands on each line as ``subagent``.
    """

    def __init__(self, path: str | os.PathLike[str], *, subagent: str | None = None) -> None:
        self.path = Path(path)
        self._subagent = subagent

    def append(self, entry: dict[str, Any]) -> None:
        """Add one line with one call of the system."""
        marks = {"subagent": self._subagent} if self._subagent else {}
        line = (json.dumps({**entry, **marks}) + "\n").encode()
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)

    def write_metadata(self, trajectory: Trajectory) -> None:
        """Add the line for the head of a session."""
        document = trajectory.to_dict()
        left_out = ("turns", "usage", "total_usage", "duration_ms", "completed_at", "usage_limited")
        head = {name: value for name, value in document.items() if name not in left_out}
        self.append({"type": "metadata", **head})

    def write_turn_events(self, turn: Turn, turn_index: int) -> None:
        """Add the lines of one turn."""
        for entry in _lines(turn):
            self.append({**entry, "turn_index": turn_index})


class SessionStore:
    """Writes ``<data_dir>/sessions/<session_id>/``; ``Agent(data_dir=…)`` does so by itself.

    Args:
        data_dir: the folder for all sessions.
        session_id: letters, digits, ``. _ -``.
        resume: go on with the numbers of the turns that are there.

    Raises:
        ValueError: the id could lead elsewhere.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        session_id: str,
        resume: bool = False,  # noqa: FBT001, FBT002 - the wrapper's signature
    ) -> None:
        warnings.warn("use Agent(data_dir=…)", DeprecationWarning, stacklevel=2)
        self._dir = Path(data_dir) / "sessions" / check_new_session_id(session_id)
        self._turns = self._dir / "turns"
        self._turns.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._next = max(self._indices(), default=-1) + 1 if resume else 0
        self._lines = JsonlWriter(self._dir / "traj.jsonl")
        self._snapshot = SnapshotFile(self._dir / "trajectory.json")

    @property
    def session_dir(self) -> Path:
        """The session's folder."""
        return self._dir

    @property
    def jsonl_path(self) -> Path:
        """Its ``traj.jsonl``."""
        return self._lines.path

    def write_metadata(self, trajectory: Trajectory) -> None:
        """Add the head of the session to ``traj.jsonl``."""
        self._lines.write_metadata(trajectory)

    def append_turn(
        self, turn: Turn, trajectory: Trajectory, raw_output: str | None = None
    ) -> None:
        """Keep a turn.

        Args:
            turn: the turn.
            trajectory: the record with it.
            raw_output: what the program wrote.
        """
        texts = {"input.txt": turn.input, "raw_output.jsonl": raw_output}
        for name, text in texts.items():
            if text is not None:
                path = self._turns / f"{self._next:03d}_{name}"
                path.touch(mode=0o600)
                path.write_text(text, "utf-8")
        self._lines.write_turn_events(turn, self._next)
        self.finalize(trajectory)
        self._next += 1

    def finalize(self, trajectory: Trajectory) -> None:
        """Write ``trajectory.json``."""
        self._snapshot.write_whole(trajectory)

    def _indices(self) -> Iterator[int]:
        for path in self._turns.glob("*_input.txt"):
            number = path.name.partition("_")[0]
            if number.isdigit():
                yield int(number)


def _lines(turn: Turn) -> Iterator[dict[str, Any]]:
    yield {"type": "user", "message": turn.input}
    for block in turn.output:
        if isinstance(block, TextBlock):
            yield {"type": "text", "text": block.text}
        elif isinstance(block, ThinkingBlock):
            yield {"type": "thinking", "text": block.text}
        else:
            call = {"id": block.id, "name": block.name}
            yield {"type": "tool_call", **call, "arguments": block.arguments}
            result = {"output": block.output, "is_error": block.is_error}
            nested = block.subagent_trajectory
            more = {} if nested is None else {"subagent_trajectory": nested.to_dict()}
            yield {"type": "tool_result", **call, **result, **more}
    yield {"type": "turn_end", "usage": turn.usage.to_dict(), "duration_ms": turn.duration_ms}
