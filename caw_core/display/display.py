"""`Display`: shows a person what agents do."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, TextIO

from caw_core.errors import ConfigError
from caw_core.session_label import short_id

if TYPE_CHECKING:
    from caw_core.display.outlet import Outlet
    from caw_core.display.turn_view import TurnView
    from caw_core.events import Event
    from caw_core.trajectory import SessionInfo, Turn


class DisplayMode(enum.StrEnum):
    """How much a display shows."""

    FULL = "full"
    """Everything: prompts, thinking, text, tool calls with input and output, usage, notices."""

    SHORT = "short"
    """The text, one line per tool, warnings, and how each turn ended."""

    RESULT = "result"
    """The last text of each turn."""

    OFF = "off"
    """Nothing."""

    @classmethod
    def of(cls, mode: str, *, source: str) -> DisplayMode:
        """Return the mode that *mode* names; raise `ConfigError`, which names *source*, if none."""
        try:
            return cls(mode)
        except ValueError:
            known = ", ".join(cls)
            msg = f"{source} is one of {known}, not {mode!r}"
            raise ConfigError(msg) from None


class Display:
    """Shows turns on stderr: live on a terminal, in plain lines elsewhere. Never on stdout.

    Args:
        mode: how much: a `DisplayMode` or its name.
        file: an open text file to write plain lines to, in place of stderr.

    Raises:
        ConfigError: there is no such mode.
    """

    def __init__(
        self, mode: DisplayMode | str = DisplayMode.SHORT, *, file: TextIO | None = None
    ) -> None:
        self.mode = DisplayMode.of(mode, source="the mode of a display")
        self._file = file
        self._views: dict[tuple[str, int], TurnView] = {}

    def __repr__(self) -> str:
        return f"Display({self.mode.value!r})"

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        """Show that a turn begins; see `caw_core.listeners.TurnListener`."""
        from caw_core.display.turn_view import TurnView

        if self.mode is not DisplayMode.OFF:
            outlet = _outlet(self._file)
            view = TurnView(self.mode, outlet, session.provider, short_id(session.session_id))
            self._views[session.session_id, turn.index] = view
            view.begin(session, turn)

    def show(self, session: SessionInfo, turn: int, event: Event) -> None:
        """Show what happened in a turn."""
        view = self._views.get((session.session_id, turn))
        if view is not None:
            view.show(event)

    def end(self, session: SessionInfo, turn: Turn) -> None:
        """Show how a turn ended."""
        view = self._views.pop((session.session_id, turn.index), None)
        if view is not None:
            view.end(turn)


def _outlet(file: TextIO | None) -> Outlet:
    from caw_core.display.outlet import PlainLines

    if file is None and sys.stderr is not None and sys.stderr.isatty():
        from caw_core.display.screen import screen_on

        screen = screen_on(sys.stderr)
        if screen is not None:
            return screen
    return PlainLines(file)
