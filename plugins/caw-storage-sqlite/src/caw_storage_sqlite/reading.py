"""Whole records and ranges of their turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import TrajectoryFormatError
from caw_core.storage import as_left
from caw_core.trajectory import Trajectory
from caw_storage_sqlite import documents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caw_core.storage import TurnRange
    from caw_core.trajectory import Turn
    from caw_storage_sqlite.connections import Connection

LARGEST = 2**63 - 1
"""The largest number that SQLite keeps."""

_SESSION = """
SELECT id, num_turns, document FROM sessions LEFT JOIN heads ON session = id WHERE session_id = ?
"""

_TURNS = """
SELECT number, documents.document FROM turns LEFT JOIN documents ON documents.id = turns.document
WHERE session = ? AND number >= ? AND number < ? ORDER BY number DESC LIMIT ?
"""


@attrs.frozen
class Found:
    """A record as it is stored, so that reading it keeps no transaction open.

    Attributes:
        place: where it is, for messages.
        head: the head's document.
        turns: number and document of the turns that were asked for, the last one first.
        missing: how many turns should be there and are not.
    """

    place: str
    head: str | None
    turns: Sequence[tuple[int, str | None]]
    missing: int

    def record(self) -> Trajectory:
        """Return what it says.

        Raises:
            TrajectoryError: it is damaged, or of a newer version.
        """
        if self.head is None or self.missing:
            what = (
                "its head is missing" if self.head is None else f"turns are missing: {self.missing}"
            )
            raise TrajectoryFormatError([f"{self.place}: {what}"])
        info = documents.parse_head(self.head, self.place)
        turns = [_turn(text, f"{self.place}, turn {number}") for number, text in self.turns]
        return Trajectory.of(info, tuple(reversed(turns)))


def find(
    connection: Connection, path: Path, session_id: str, turns: TurnRange | None
) -> Found | None:
    """Find a session and the turns that are asked for; None if there is no such session."""
    row = connection.execute(_SESSION, (session_id,)).fetchone()
    if row is None:
        return None
    session, num_turns, head = row
    start, stop, limit = 0, LARGEST, -1
    if turns is not None:
        start = min(turns.start, LARGEST)
        stop = LARGEST if turns.stop is None else min(turns.stop, LARGEST)
        limit = -1 if turns.last is None else min(turns.last, LARGEST)
    rows = connection.execute(_TURNS, (session, start, stop, limit)).fetchall()
    missing = num_turns - len(rows) if turns is None else 0
    return Found(f"{path}: session {session_id!r}", head, rows, missing)


def _turn(text: str | None, place: str) -> Turn:
    if text is None:
        raise TrajectoryFormatError([f"{place}: its document is missing"])
    return as_left(documents.parse_turn(text, place))
