"""Something that moves on the terminal while nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from caw_core.cli.signals import signals_held
from caw_core.display.event_words import ProgressSteps
from caw_core.display.plain import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from caw_core import events

_WIDTH = 40


class Activity:
    """A spinner while the agent works, and a bar for each piece of preparation.

    Args:
        console: stderr.
        live: it is a terminal; otherwise preparation is told in lines.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._live = live
        self._shown: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._steps = ProgressSteps()

    def wait(self, what: str) -> None:
        """Show that *what* goes on, until `clear`."""
        if not self._live or self._shown is not None:
            return
        columns = (SpinnerColumn(), TextColumn("[dim]{task.description}"), TimeElapsedColumn())
        self._start(*columns).add_task(one_line(what, _WIDTH))

    def advance(self, event: events.Progress) -> None:
        """Show how far a piece of preparation is."""
        if not self._live:
            words = self._steps.words(event)
            if words:
                self._console.print(words, markup=False, soft_wrap=True)
            return
        if not self._bars:
            self.clear()
            amount = DownloadColumn() if event.unit == "bytes" else TextColumn("{task.completed:g}")
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), amount)
            self._start(*columns)
        shown = self._shown
        if shown is None:
            return
        label = one_line(event.label, _WIDTH)
        if label not in self._bars:
            self._bars[label] = shown.add_task(label, total=event.total)
        shown.update(self._bars[label], completed=event.done, total=event.total)

    def clear(self) -> None:
        """Take everything off the terminal."""
        with signals_held():
            shown, self._shown = self._shown, None
            self._bars = {}
            if shown is not None:
                shown.stop()

    def _start(self, *columns: ProgressColumn) -> Progress:
        with signals_held():
            shown = self._shown = Progress(*columns, console=self._console, transient=True)
            shown.start()
        return shown
