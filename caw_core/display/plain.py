"""Text from agents and records on its way to a terminal."""

from __future__ import annotations

import contextlib
from datetime import datetime

_KEPT = "\n\t"
# C0, DEL and C1: what moves the cursor, retitles the window or answers as if it were the keyboard.
_SHOWN = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in _KEPT
}
# What Unicode calls Bidi_Control (PropList.txt): it shows a text in another order than it has.
_SHOWN |= dict.fromkeys(
    (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    "\N{REPLACEMENT CHARACTER}",
)
_SHOWN[ord("\r")] = ""


def plain(text: str) -> str:
    """Return *text* without control and bidi control characters, which a terminal obeys."""
    return text.translate(_SHOWN)


def one_line(text: str, width: int) -> str:
    """Return the beginning of *text* on one line, at most *width* characters."""
    words = " ".join(plain(text[: 8 * width]).split())
    return words if len(words) <= width else words[: width - 1] + "…"


def local_time(moment: str) -> str:
    """Return an ISO 8601 time as the clock here shows it, with its offset; as it is if it is none.

    The offset says that it is this place's time; another machine's clock may be elsewhere.
    """
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(moment).astimezone().isoformat(" ", "minutes")
    return moment
