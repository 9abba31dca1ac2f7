"""Where a display writes: lines that stay, and below them, on a terminal, what moves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

import attrs

from caw_core.display.plain import plain

if TYPE_CHECKING:
    from caw_core.usage import UsageStats

_WIDTH = 200
_SIMPLE = str.maketrans({"•": "*", "·": "-", "…": "..."})


@attrs.frozen
class Moving:
    """What moves while a turn runs.

    Attributes:
        label: the session's.
        what: what the agent does.
        since: when the turn began, as `time.monotonic` tells it.
        usage: what it used so far.
        line: the unfinished line of a text.
        style: that line's, in rich's words.
        tools: the tool calls that run: in a few words, and since when.
    """

    label: str
    what: str
    since: float
    usage: UsageStats
    line: str = ""
    style: str = ""
    tools: tuple[tuple[str, float], ...] = ()


class Outlet(Protocol):
    """Takes what displays show; thread-safe."""

    @property
    def width(self) -> int:
        """How long a line of few words may be, in characters."""

    def write(self, label: str, text: str, style: str = "") -> None:
        """Write lines that stay, each with the session's label where that is needed.

        Args:
            label: the session's.
            text: from an agent, so it may hold anything.
            style: how it looks, in rich's words.
        """

    def move(self, key: object, moving: Moving | None) -> None:
        """Show what moves now in the turn *key*; None when it has ended."""


class PlainLines:
    """Lines for a pipe, a file, or a terminal that can do nothing else; flushed at once.

    Args:
        file: where they go; default stderr, as it is when a line is written.
    """

    width = _WIDTH

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def write(self, label: str, text: str, style: str = "") -> None:
        """Write *text*, every line with its label; see `Outlet.write`."""
        del style
        stream = self._file or sys.stderr
        # Windows has none where there is no console.
        if stream is not None:
            lines = "".join(f"[{label}] {line}".rstrip() + "\n" for line in plain(text).split("\n"))
            # In one call, so that lines of other threads come between them and not within.
            stream.write(_encodable(lines, getattr(stream, "encoding", None) or "utf-8"))
            stream.flush()

    def move(self, key: object, moving: Moving | None) -> None:
        """Do nothing: what moves is for terminals."""


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_SIMPLE)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text
