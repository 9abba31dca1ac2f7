"""The terminal: lines that stay scroll by, and below them moves what runs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.spinner import Spinner
from rich.text import Text

from caw_core.at_exit import DISPLAYS, at_exit
from caw_core.chores import Chores
from caw_core.display.event_words import usage_words
from caw_core.display.pausing import is_paused, note_drawing
from caw_core.display.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from caw_core.display.outlet import Moving

_FRAME_SECONDS: Final = 0.08
_LEAVE_SECONDS: Final = 2.0
_MOST_LINES: Final = 10_000
"""How many lines wait for the end of a pause; the oldest are left out."""
_TEXT_ROWS: Final = 3
_TOOL_ROWS: Final = 4

_drawing = Chores("caw-display")


class Screen:
    """Draws for all displays on one terminal; see `caw_core.display.outlet.Outlet`.

    The cursor is never hidden, so that no death of the process can leave it so.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        unicode = (stream.encoding or "").lower().startswith("utf")
        self._spinner = Spinner("dots" if unicode else "line")
        self._lock = threading.RLock()
        self._labels: set[str] = set()
        self._lines: list[tuple[str, str, str]] = []
        self._moving: dict[object, Moving] = {}
        self._drawn: list[int] = []
        self._failure: Exception | None = None
        note_drawing(self)

    @property
    def can_draw(self) -> bool:
        """Whether the terminal can do what drawing needs."""
        console = self._console
        return console.is_terminal and not (console.is_dumb_terminal or console.legacy_windows)

    @property
    def width(self) -> int:
        """How long a line of few words may be."""
        return max(20, self._console.width - 12)

    def write(self, label: str, text: str, style: str = "") -> None:
        """Write lines that stay; with labels once there were two sessions."""
        with self._lock:
            self._check()
            if len(self._labels) < 2:  # noqa: PLR2004 - two are several
                self._labels.add(label)
            self._lines += ((label, line, style) for line in plain(text).split("\n"))
            if is_paused():
                del self._lines[:-_MOST_LINES]
            self._plan()

    def move(self, key: object, moving: Moving | None) -> None:
        """Show what moves; an end is drawn at once."""
        with self._lock:
            self._check()
            if moving is not None:
                self._moving[key] = moving
                self._plan()
            elif self._moving.pop(key, None) is not None:
                self._draw()

    def redraw(self) -> None:
        """Draw now; see `caw_core.display.pausing.Drawing`."""
        with self._lock:
            if self._failure is None:
                try:
                    self._draw()
                except Exception as error:  # noqa: BLE001 - whoever writes next is told
                    self._failure = error

    def leave(self) -> None:
        """Write what is left and let nothing move any more: the process ends."""
        # Not for ever: somebody may have stopped the terminal.
        if self._lock.acquire(timeout=_LEAVE_SECONDS):
            self._moving.clear()
            self.redraw()
            self._lock.release()

    def work(self) -> float | None:
        """Draw the next frame; see `caw_core.chores.Worker`."""
        with self._lock:
            self.redraw()
            return _FRAME_SECONDS if self._moving and self._failure is None else None

    def _plan(self) -> None:
        _drawing.add(self, _FRAME_SECONDS if self._drawn else 0)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # -------------------------------------------------------------------------------- one frame

    def _draw(self) -> None:
        width, height = self._console.size
        rows, lines = [], []
        if not is_paused():
            rows = list(self._rows(width - 1))
            most = max(1, height - 1)
            if len(rows) > most:
                more = _row(f"… and {len(rows) - most + 1} lines more", "dim", width - 1)
                rows = [*rows[: most - 1], more]
            lines, self._lines = self._lines, []
        # One write for all of it: nothing flickers, and nobody else's output comes between.
        with self._console:
            self._erase(width)
            for label, line, style in lines:
                text = Text.assemble((self._prefix(label), "dim"), (line, style))
                self._console.print(text, soft_wrap=True)
            if rows:
                self._console.print(Text("\n").join(rows), end="", soft_wrap=True)
        self._drawn = [cell_len(row.plain) for row in rows]

    def _erase(self, width: int) -> None:
        """Take the rows of the last frame away."""
        # A terminal that became narrower has broken them into more.
        rows = sum(max(1, -(-cells // max(1, width))) for cells in self._drawn)
        if rows:
            up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * (rows - 1)
            erase = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up)
            self._console.control(erase)

    def _rows(self, width: int) -> Iterator[Text]:
        now = time.monotonic()
        for moving in self._moving.values():
            prefix = self._prefix(moving.label)
            if moving.line:
                text = Text(prefix + moving.line.expandtabs(4), style=moving.style)
                yield from text.wrap(self._console, width)[-_TEXT_ROWS:]
            for words, since in moving.tools[:_TOOL_ROWS]:
                yield _row(f"{prefix}• {words} · {now - since:.0f} s", "cyan", width)
            if len(moving.tools) > _TOOL_ROWS:
                yield _row(f"{prefix}• and {len(moving.tools) - _TOOL_ROWS} more", "cyan", width)
            facts = [moving.what, f"{now - moving.since:.0f} s", *usage_words(moving.usage)]
            spinner = self._spinner.render(now)
            yield _row(f"{prefix}{spinner} {' · '.join(facts)}", "dim", width)

    def _prefix(self, label: str) -> str:
        return f"[{label}] " if len(self._labels) > 1 else ""


def _row(text: str, style: str, width: int) -> Text:
    row = Text(plain(text).replace("\n", " "), style=style, no_wrap=True)
    row.truncate(width, overflow="ellipsis")
    return row


_known: list[tuple[TextIO, Screen]] = []
_known_lock = threading.Lock()


def _leave() -> None:
    for _, screen in _known:
        screen.leave()


at_exit(DISPLAYS, _leave)


def screen_on(stream: TextIO) -> Screen | None:
    """Return the one screen of this process on a terminal; None if that can only take lines."""
    with _known_lock:
        if not _known or _known[0][0] is not stream:
            _known[:] = [(stream, Screen(stream))]
        screen = _known[0][1]
    return screen if screen.can_draw else None
