"""The end of a ``traj.jsonl``, read backwards until it tells what is asked for."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from caw_core.listing import title_of
from caw_storage_jsonl import private_files
from caw_storage_jsonl.lines import Shared
from caw_storage_jsonl.stored import (
    WRAPPER_VERSION,
    StoredTurn,
    count_of,
    is_copy,
    members_of,
    parse_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from caw_core.storage import TurnRange

_WINDOW = 1 << 16
_GROWTH = 4


class Tail:
    """What the lines from some byte to the end tell; a turn is known if it begins there.

    Attributes:
        whole: whether that byte is the first one.
        head: the members of the last head, if it is known.
        turns: the turns that begin here.
        statuses: how each turn of which there is a word stands, by index.
        shared: what the session shares with its parent, if that is known.
        num_turns: how many turns the session has; None if that cannot be told.
        last_turn: the highest index, -1 for none; None if that cannot be told.
        foreign: whether the existing wrapper wrote some of it; then only `record.load` reads it.
        end: where the last line ends that is complete.
    """

    def __init__(self, fd: int, start: int, size: int) -> None:
        self.whole = start == 0
        self.head: dict[str, Any] | None = None
        self.turns: dict[int, StoredTurn] = {}
        self.statuses: dict[int, str] = {}
        self.shared: Shared | None = None
        self.num_turns: int | None = 0 if self.whole else None
        self.last_turn: int | None = -1 if self.whole else None
        self.foreign = False
        self._head_at: int | None = None
        data = private_files.read_at(fd, start, size - start)
        self.end = start + data.rfind(b"\n") + 1
        if start:
            data = data.partition(b"\n")[2]
        for line in complete_lines(data):
            self._take(line)
        if self.head is None and self._head_at is not None:
            self.head = next(lines_from(fd, self._head_at, size), None)
        if self.head is not None:
            version = self.head.get("version", WRAPPER_VERSION)
            self.foreign |= version == WRAPPER_VERSION
            self.head = members_of(self.head)
            for turn in self.turns.values():
                turn.version = version

    def _take(self, line: dict[str, Any]) -> None:
        kind = line["type"]
        if kind == "metadata":
            self.head = line
            return
        if "num_turns" in line:
            self.num_turns = count_of(line, "num_turns")
            self.last_turn = count_of(line, "last_turn") if "last_turn" in line else None
            self._head_at = count_of(line, "metadata_at")
        if kind == "shared":
            self.shared = Shared.of(line)
        elif "turn_index" in line:
            self._take_of_turn(kind, count_of(line, "turn_index"), line)

    def _take_of_turn(self, kind: str, index: int, line: dict[str, Any]) -> None:
        sign = {"user": "started_at", "turn_end": "num_blocks", "turn_update": "type"}
        if sign.get(kind, "block_index") not in line:
            self.foreign = True
            return
        if kind == "user":
            self.statuses[index] = "running"
            if "again" not in line:
                self.turns[index] = StoredTurn(index, WRAPPER_VERSION)
                if self.num_turns is not None:
                    self.num_turns += 1
                if self.last_turn is not None:
                    self.last_turn = max(self.last_turn, index)
        elif kind == "turn_end":
            self.statuses[index] = str(line.get("status", ""))
        if index in self.turns:
            self.turns[index].take(line)

    @property
    def status(self) -> str | None:
        """How the last turn stands, ``""`` without any; None if that cannot be told."""
        if self.shared is not None and not self.statuses:
            return self.shared.status
        last = max(self.statuses, default=-1) if self.last_turn is None else self.last_turn
        return self.statuses.get(last) if last >= 0 or not self.whole else ""

    def knows(self, turns: TurnRange) -> bool:
        """Tell whether the head and all turns of a range are here."""
        wanted = self.wanted(turns)
        return self.head is not None and wanted is not None and self.turns.keys() >= set(wanted)

    def wanted(self, turns: TurnRange) -> Sequence[int] | None:
        """Return the indices of the turns in a range; None if they cannot be told."""
        places: Sequence[int]
        if self.whole:
            shared = range(self.shared.stop) if self.shared else ()
            places = sorted({*self.turns, *shared})
        elif self.num_turns is not None and self.last_turn == self.num_turns - 1:
            places = range(self.num_turns)
        else:
            # With holes, a turn that is not here might be among the last ones or not exist.
            return [] if turns.last == 0 and self.head is not None else None
        start = bisect_left(places, turns.start)
        stop = len(places) if turns.stop is None else bisect_left(places, turns.stop)
        found = places[start:stop]
        return found if turns.last is None else found[max(0, len(found) - turns.last) :]


def read_tail(fd: int, size: int, enough: Callable[[Tail], bool]) -> Tail:
    """Read more and more of the end, until it is *enough* or the whole file."""
    window = _WINDOW
    while True:
        tail = Tail(fd, max(0, size - window), size)
        if tail.whole or enough(tail):
            return tail
        window *= _GROWTH


def title_at(fd: int, size: int) -> str:
    """Return a session's title, from the beginning of its file; ``""`` before its first turn."""
    for line in lines_from(fd, 0, size):
        if line["type"] == "shared":
            return Shared.of(line).title
        if line["type"] == "user":
            return title_of(str(line.get("message", "")))
    return ""


def lines_from(fd: int, offset: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield the complete lines from *offset* on, reading no more than is asked for."""
    rest = b""
    while offset < size:
        data = private_files.read_at(fd, offset, min(_WINDOW, size - offset))
        offset += len(data)
        whole, newline, rest = (rest + data).rpartition(b"\n")
        yield from complete_lines(whole + newline)


def complete_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the lines that end; what the wrapper copied from a subagent is no line of ours."""
    for raw in data.split(b"\n")[:-1]:
        if raw.strip():
            line = parse_line(raw)
            if not is_copy(line):
                yield line
