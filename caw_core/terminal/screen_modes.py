"""What a program has switched on in a terminal, so that it can be switched off after a crash.

The sequences are those of xterm's "Control Sequences" and of kitty's "keyboard protocol".
"""

from __future__ import annotations

import re
from typing import Final

_MODE: Final = re.compile(
    rb"\x1b\[\?(?P<modes>[\d;]+)(?P<way>[hl])"  # private modes, such as the mouse
    rb"|\x1b\[(?P<push>>)\d*u|\x1b\[(?P<pop><)(?P<pops>\d*)u"  # kitty's keyboard
    rb"|\x1b\[>4(?:;(?P<keys>\d))?m"  # xterm's modifyOtherKeys
    rb"|\x1b(?P<keypad>[=>])"
    rb"|\x1b\[(?P<cursor>\d?) q"
)
_LONGEST: Final = 64

_USUALLY_ON: Final = frozenset({7, 25})
"""Modes that a terminal has on from the start: lines wrap, the cursor shows."""

_SCREENS: Final = frozenset({47, 1047, 1049})
"""The other screen, on which full-screen programs draw; left last, as that moves the cursor."""

_USUAL: Final = frozenset({b"\x1b>", b"\x1b[ q", b"\x1b[0 q", b"\x1b[>4m", b"\x1b[>4;0m"})
"""How a terminal begins, of what is no private mode."""


class ScreenModes:
    """Follows what a program writes to the terminal."""

    def __init__(self) -> None:
        self._modes: dict[int, bool] = {}
        self._keyboards: list[bytes] = []
        self._others: dict[str, tuple[bytes, bytes]] = {}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was written next; a sequence may be cut anywhere."""
        data = self._rest + data
        # Where the last sequence might go on with what comes next.
        cut = data.rfind(b"\x1b", max(0, len(data) - _LONGEST))
        if cut >= 0 and not _MODE.match(data, cut):
            data, self._rest = data[:cut], data[cut:]
        else:
            self._rest = b""
        for found in _MODE.finditer(data):
            self._take(found)

    @property
    def undo(self) -> bytes:
        """What puts the terminal back; empty after a program that has tidied up."""
        keyboard = b"\x1b[<%du" % len(self._keyboards) if self._keyboards else b""
        others = [undo for _, undo in self._others.values()]
        modes = [_mode(mode, not self._modes[mode]) for mode in reversed(self._in_order())]
        return b"".join([keyboard, *others, *modes])

    @property
    def redo(self) -> bytes:
        """What brings it from there to where the program has it."""
        modes = [_mode(mode, self._modes[mode]) for mode in self._in_order()]
        others = [redo for redo, _ in self._others.values()]
        return b"".join([*modes, *others, *self._keyboards])

    def _in_order(self) -> list[int]:
        """Return the modes that were changed, the screen first: the others may belong to it."""
        return sorted(self._modes, key=lambda mode: (mode not in _SCREENS, mode))

    def _take(self, found: re.Match[bytes]) -> None:
        whole = found[0]
        if found["modes"]:
            on = found["way"] == b"h"
            for mode in map(int, filter(None, found["modes"].split(b";"))):
                if on == (mode in _USUALLY_ON):
                    self._modes.pop(mode, None)
                else:
                    self._modes[mode] = on
        elif found["push"]:
            self._keyboards.append(whole)
        elif found["pop"]:
            del self._keyboards[-int(found["pops"] or 1) :]
        elif found["keypad"]:
            self._other("keypad", whole, b"\x1b>")
        elif found["cursor"] is not None:
            self._other("cursor", whole, b"\x1b[0 q")
        else:
            self._other("keys", whole, b"\x1b[>4m")

    def _other(self, name: str, whole: bytes, undo: bytes) -> None:
        if whole in _USUAL:
            self._others.pop(name, None)
        else:
            self._others[name] = (whole, undo)


def _mode(mode: int, on: bool) -> bytes:  # noqa: FBT001 - private
    return b"\x1b[?%d%s" % (mode, b"h" if on else b"l")
