"""One turn as the lines of ``traj.jsonl`` tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from caw_core.serialize import block_from_dict
from caw_core.storage import UNFINISHED
from caw_storage_jsonl.lines import OWN, RESERVED, SHADOWED, DamagedLineError, WrittenTurn

if TYPE_CHECKING:
    from collections.abc import Mapping

WRAPPER_VERSION = 1

_UNFINISHED_DOCUMENT = {"type": UNFINISHED.type, "message": UNFINISHED.message}


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

    def take(self, line: Mapping[str, Any]) -> None:
        """Take the next line of this turn, of whatever kind."""
        kind = line["type"]
        if kind == "user":
            self._begin(line)
        elif kind == "turn_end":
            self._end(line)
        elif kind == "turn_update":
            self.state = members_of(line)
        else:
            self._add(line)

    def _begin(self, line: Mapping[str, Any]) -> None:
        self.message = line.get("message", "")
        self.state = members_of(line)
        self.ended = False

    def _end(self, line: Mapping[str, Any]) -> None:
        self.state = members_of(line)
        self.ended = True
        self.num_blocks = count_of(line, "num_blocks") if "num_blocks" in line else None

    def _add(self, line: Mapping[str, Any]) -> None:
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
