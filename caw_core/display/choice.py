"""Which display a session has: its agent's, else the process's, else that of ``CAW_LOG``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

from caw_core.display.display import Display, DisplayMode
from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from caw_core.listeners import TurnListener

VARIABLE: Final = "CAW_LOG"

_set: list[TurnListener | None] = []
"""What `set_global_display` was given last; empty before it was called."""


def check_display(display: object) -> TurnListener | None:
    """Return *display* as something that is told of turns; None stays None.

    Raises:
        ConfigError: it is neither a mode nor a display.
    """
    if display is None or _is_display(display):
        return cast("TurnListener | None", display)
    if isinstance(display, str):
        return Display(DisplayMode.of(display, source="display"))
    known = ", ".join(DisplayMode)
    kind = type(display).__name__
    msg = f"display is one of {known}, or an object with begin, show and end, not {kind}"
    raise ConfigError(msg)


def _is_display(display: object) -> bool:
    return all(callable(getattr(display, name, None)) for name in ("begin", "show", "end"))


def set_global_display(display: TurnListener | DisplayMode | str | None) -> None:
    """Show the sessions that are opened from now on, where their agent says nothing else.

    Args:
        display: a mode, a `Display`, or an object of your own with the methods of
            `caw_core.listeners.TurnListener`; None for none, whatever ``CAW_LOG`` says.

    Raises:
        ConfigError: it is none of these.
    """
    _set[:] = [check_display(display)]


def get_global_display() -> TurnListener | None:
    """Return what shows sessions whose agent says nothing: what was set, else as ``CAW_LOG`` says.

    Returns:
        None where nothing shows them.

    Raises:
        ConfigError: ``CAW_LOG`` names no mode.
    """
    if _set:
        return _set[0]
    mode = os.environ.get(VARIABLE, "").strip().lower()
    return Display(DisplayMode.of(mode, source=VARIABLE)) if mode else None


def session_display(given: TurnListener | None) -> TurnListener | None:
    """Return the display of a session that is opened now, None for none.

    Args:
        given: what its agent was given, checked.

    Raises:
        ConfigError: as `get_global_display`.
    """
    display = get_global_display() if given is None else given
    # A derived one may do something else with turns than show them.
    if type(display) is Display and display.mode is DisplayMode.OFF:
        return None
    return display
