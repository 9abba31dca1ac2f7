"""Sums of a trajectory's file without reading its turns.

The head of the file stands before the turns, the sums after them, in the wrapper's files and in
those of caw. So a few kilobytes from both ends tell all, however long the session was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from caw.models import Trajectory, UsageStats

__all__ = ["FastStats"]

_HEAD_BYTES: Final = 64 << 10
"""A system prompt is part of the head."""

_TAIL_BYTES: Final = 64 << 10
"""The caller's metadata is part of the tail."""

_TURNS: Final = b'\n  "turns": ['
_SUMS: Final = b'\n  "usage": {'


@dataclass
class FastStats:
    """What a session was and used; tokens and cost with those of subagents."""

    path: Path | None = None
    agent: str = ""
    model: str = ""
    session_id: str = ""
    created_at: str = ""
    completed_at: str = ""
    usage_limited: bool = False
    duration_ms: int = 0
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {**asdict(self), "path": None if self.path is None else str(self.path)}

    @classmethod
    def from_trajectory(
        cls, trajectory: Trajectory, *, path: str | os.PathLike[str] | None = None
    ) -> FastStats:
        """Sum up a trajectory."""
        return cls(
            path=None if path is None else Path(path),
            agent=trajectory.agent,
            model=trajectory.model,
            session_id=trajectory.session_id,
            created_at=trajectory.created_at,
            completed_at=trajectory.completed_at,
            usage_limited=trajectory.usage_limited,
            duration_ms=trajectory.duration_ms,
            **trajectory.total_usage.to_dict(),
        )

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> FastStats | None:
        """Sum up a file; None for one that is no trajectory, or is not there."""
        path = Path(path)
        try:
            ends = _ends(path)
            if ends is not None:
                return cls._of_ends(*ends, path)
            document = json.loads(path.read_bytes())
            if not _is_trajectory(document):
                return None
            return cls.from_trajectory(Trajectory.from_dict(document), path=path)
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None

    @classmethod
    def _of_ends(cls, head: dict[str, Any], tail: dict[str, Any], path: Path) -> FastStats:
        usage = UsageStats.from_dict(tail.get("total_usage") or tail["usage"])
        names = ("agent", "model", "session_id", "created_at", "completed_at", "usage_limited")
        return cls(
            path=path,
            duration_ms=tail.get("duration_ms", 0),
            **{name: head[name] for name in names if name in head},
            **usage.to_dict(),
        )

    @classmethod
    def iter_directory(
        cls,
        directory: str | os.PathLike[str],
        *,
        patterns: Iterable[str] = ("**/trajectory.json", "**/*.traj.json"),
        skip_parts: Iterable[str] = (),
    ) -> Iterator[FastStats]:
        """Sum up each trajectory below a folder.

        Args:
            directory: the folder.
            patterns: which files, as `pathlib.Path.glob` takes them.
            skip_parts: names of folders to leave out.
        """
        root, skipped = Path(directory), set(skip_parts)
        seen: set[Path] = set()
        for pattern in patterns:
            for path in root.glob(pattern):
                if path in seen or skipped.intersection(path.relative_to(root).parts):
                    continue
                seen.add(path)
                stats = cls.from_path(path)
                if stats is not None:
                    yield stats

    @classmethod
    def directory_total_cost(cls, directory: str | os.PathLike[str], **kwargs: Any) -> float:
        """Return what all sessions below a folder cost, in US dollars, as far as it is known."""
        return sum(stats.cost_usd for stats in cls.iter_directory(directory, **kwargs))


def _ends(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return what stands before and after the turns; None where the file is laid out otherwise."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        tail = file.read()
    begin, end = head.find(_TURNS), tail.rfind(_SUMS)
    if begin < 0 or end < 0:
        return None
    documents = (head[:begin].rstrip().rstrip(b",") + b"}", b"{" + tail[end:])
    try:
        before, after = map(json.loads, documents)
    except ValueError:
        return None
    return (before, after) if _is_trajectory(before) else None


def _is_trajectory(document: object) -> bool:
    return isinstance(document, dict) and bool(document.get("agent") or document.get("model"))
