"""Keeps displays off the terminal for a while."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Drawing(Protocol):
    """Something that draws on a terminal by itself."""

    def redraw(self) -> None:
        """Draw what there is to see now: nothing that moves while `is_paused`."""


_lock = threading.Lock()
_drawings: weakref.WeakSet[Drawing] = weakref.WeakSet()
_holders: list[object] = []


def note_drawing(drawing: Drawing) -> None:
    """Have `display_paused` tell *drawing*."""
    with _lock:
        _drawings.add(drawing)


def is_paused() -> bool:
    """Tell whether somebody wants the terminal for himself."""
    return bool(_holders)


@contextlib.contextmanager
def display_paused() -> Iterator[None]:
    """Have the terminal to oneself: for a question, or for lines of one's own while turns run.

    What displays would have shown meanwhile is shown afterwards. It may be used from any thread,
    several times at once, and does nothing where no display is on a terminal.
    """
    holder = object()
    # What was said before comes before.
    _redraw()
    _holders.append(holder)
    _redraw()
    try:
        yield
    finally:
        _holders.remove(holder)
        _redraw()


def _redraw() -> None:
    with _lock:
        drawings = list(_drawings)
    for drawing in drawings:
        drawing.redraw()
