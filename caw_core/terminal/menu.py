"""A menu in the user's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.terminal.handover import check_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.terminal.ending import Ending

_SECONDS = 2.0


def choose(title: str, options: Sequence[str], *, default: int, ending: Ending) -> int | None:
    """Let the user choose one of several; the arrow keys move, Enter chooses, q and Esc cancel.

    It is shown by a process of its own, so the terminal is as it was also when this one is killed.

    Args:
        title: what is asked.
        options: one line each.
        default: where the choice begins.
        ending: by which another thread cancels it.

    Returns:
        The place of the one that was chosen; None if the user chose none.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.
        NoTerminalError: there is no terminal.
        UnsupportedError: this is Windows.
        ProcessError: the process that shows it was killed.
    """
    check_terminal()
    from caw_core.terminal.beside import Beside

    shown = {"title": title, "options": list(options), "default": default}
    beside = Beside("caw_core.terminal.menu_screen", shown)
    try:
        with ending.calls(beside.end):
            answer = beside.hear()
    finally:
        beside.close(_SECONDS)
    if answer.get("interrupted"):
        raise KeyboardInterrupt
    place: int | None = answer["chosen"]
    return place
