"""What of a trajectory's document `caw.traj_cli` shows: prompts and answers, each with an address.

A step's address is its number, below that of the step under which a subagent worked: ``12/3``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Address: TypeAlias = tuple[int, ...]
Path: TypeAlias = tuple[str | int, ...]
"""Where something stands in the document: keys and indices."""

_TOOLS_ONLY: Final = "[tools alone; see the raw JSON]"
_ADDRESS: Final = re.compile(r"\d+(?:/\d+)*")


class TrajectoryRenderError(ValueError):
    """The file is no trajectory, or there is no such step."""


@dataclass
class Step:
    """A prompt (``user``) or what the agent wrote until its next tool call (``asst``)."""

    kind: str
    first: Path
    last: Path
    blocks: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    children: list[Step] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many steps it is with those below it."""
        return 1 + sum(child.total for child in self.children)


def steps_of(turns: Any, at: Path = ("turns",)) -> list[Step]:
    """Return the steps of a document's turns, which stand at *at*."""
    steps: list[Step] = []
    for index, turn in enumerate(turns if isinstance(turns, list) else []):
        here = (*at, index)
        prompt = str(turn.get("input", "")).strip()
        if prompt:
            place = (*here, "input")
            steps.append(Step("user", place, place, text=prompt))
        steps += _answers(turn.get("output") or [], (*here, "output"))
    return steps


def _answers(output: list[dict[str, Any]], at: Path) -> Iterator[Step]:
    current: Step | None = None
    ended = True
    for index, block in enumerate(output):
        here = (*at, index)
        nested = block.get("subagent_trajectory")
        if block.get("type") in ("text", "thinking"):
            if current is None or ended:
                if current is not None:
                    yield current
                current, ended = Step("asst", here, here), False
            current.blocks.append(block)
            current.last = here
            current.text = "\n".join(
                filter(None, (str(each.get("text", "")).strip() for each in current.blocks))
            )
        else:
            ended = True
            if nested and current is None:
                current = Step("asst", here, here, text=_TOOLS_ONLY)
            if nested and current is not None:
                below = (*here, "subagent_trajectory", "turns")
                current.children += steps_of(nested.get("turns"), below)
    if current is not None:
        yield current


def tool_calls(turns: Any) -> Iterator[dict[str, Any]]:
    """Yield the tool calls of a document's turns, those of subagents too."""
    for turn in turns if isinstance(turns, list) else []:
        for block in turn.get("output") or []:
            if block.get("type") == "tool_use":
                yield block
                yield from tool_calls((block.get("subagent_trajectory") or {}).get("turns"))


def tool_usage(turns: Any) -> list[tuple[str, int]]:
    """Return how often each tool was called, the most used first."""
    counts = Counter(str(call.get("name")) for call in tool_calls(turns))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


# -------------------------------------------------------------------------------------- addresses


def addresses(selectors: Sequence[str]) -> list[Address]:
    """Read selectors such as ``7``, ``7-10``, ``12/3-12/5``, ``[12/3]``, with commas between.

    Raises:
        TrajectoryRenderError: one cannot be read.
    """
    found: list[Address] = []
    for selector in ",".join(selectors).split(","):
        text = selector.strip().replace("[", "").replace("]", "")
        first, dash, last = text.partition("-")
        begin, end = _address(first, selector), _address(last if dash else first, selector)
        if begin[:-1] != end[:-1] or begin[-1] > end[-1]:
            message = f"{selector.strip()!r} is no range of steps beside each other"
            raise TrajectoryRenderError(message)
        found += [(*begin[:-1], number) for number in range(begin[-1], end[-1] + 1)]
    return found


def _address(text: str, selector: str) -> Address:
    if not _ADDRESS.fullmatch(text.strip()):
        message = f"{selector.strip()!r} is no step: 7, 7-10, 12/3 and 12/3-12/5 are"
        raise TrajectoryRenderError(message)
    return tuple(map(int, text.strip().split("/")))


def step_at(steps: Sequence[Step], address: Address) -> Step:
    """Return the step of an address; raise `TrajectoryRenderError` if there is none."""
    for depth, number in enumerate(address):
        if number >= len(steps):
            shown = "/".join(map(str, address[: depth + 1]))
            message = f"step [{shown}] does not exist"
            raise TrajectoryRenderError(message)
        step = steps[number]
        steps = step.children
    return step


# ------------------------------------------------------------------------------------ raw lines


class RawLines:
    """Tells on which lines of its file a part of a document stands.

    Args:
        document: what the file holds.
        text: the file; one that is not laid out as `json.dumps` does it has no known lines.
    """

    def __init__(self, document: Any, text: str) -> None:
        self._document = document
        self._known = text.strip() == json.dumps(document, indent=2)

    def of(self, step: Step) -> str:
        """Return them as ``L3`` or ``L3-L8``."""
        if not self._known:
            return "L?"
        first, last = self._place(step.first)[0], self._place(step.last)[1]
        return f"L{first}" if first == last else f"L{first}-L{last}"

    def _place(self, path: Path) -> tuple[int, int]:
        value, line = self._document, 1
        for key in path:
            members = value.items() if isinstance(value, dict) else enumerate(value)
            line += 1
            for name, member in members:
                if name == key:
                    value = member
                    break
                line += _size(member)
        return line, line + _size(value) - 1


def _size(value: Any) -> int:
    """Return how many lines a value takes, which begins on the line of its key."""
    if not value or not isinstance(value, dict | list):
        return 1
    return 2 + sum(map(_size, value.values() if isinstance(value, dict) else value))
