"""A text that grows, kept whole or without its middle."""

from __future__ import annotations

import sys
from typing import Final

from caw_core.redaction import Redactor

NO_SECRETS: Final = Redactor()
"""For texts that hold none."""

CHUNK: Final = 64 * 1024
"""Small pieces are joined at this size, in characters; one by one they would fill memory."""


class KeptText:
    """Keeps the beginning and the end of what it is given, as far as there is room.

    A secret is kept whole or not at all: nobody would know a part of it again.

    Args:
        room: how many characters to keep at most; up to half as many more are held at times.
        redactor: knows the secrets.
    """

    def __init__(self, room: int = sys.maxsize, redactor: Redactor = NO_SECRETS) -> None:
        self._half = room // 2
        self._redactor = redactor
        self._chunk = min(CHUNK, room)
        self._new: list[str] = []
        self._new_size = 0
        self._head: list[str] = []
        self._head_size = 0
        self._tail: list[str] = []
        self._tail_size = 0
        self._dropped = 0
        self._head_is_whole = False

    @property
    def size(self) -> int:
        """How many characters are held."""
        return self._head_size + self._tail_size + self._new_size

    @property
    def left_out(self) -> int:
        """How many characters of the middle are not in `text`."""
        self._settle()
        self._trim()
        return self._dropped

    def grow(self, text: str) -> None:
        """Add *text* at the end."""
        self._new.append(text)
        self._new_size += len(text)
        if self._new_size >= self._chunk:
            self._settle()

    def replace(self, text: str) -> None:
        """Forget everything and begin with *text*."""
        self._new.clear()
        self._head.clear()
        self._tail.clear()
        self._new_size = self._head_size = self._tail_size = self._dropped = 0
        self._head_is_whole = False
        self.grow(text)

    def shorten(self, room: int) -> None:
        """Keep no more than *room* characters of what is there; what comes has its room as ever."""
        self._settle()
        if self.size <= room:
            return
        before, half = self.size, room // 2
        head, tail = "".join(self._head), "".join(self._tail)
        if not self._head_is_whole:
            # All that there is, so its end is the end of the text.
            tail = head
        self._head = [head[: self._redactor.cut_before(head, half)]]
        self._tail = [tail[self._redactor.cut_after(tail, max(0, len(tail) - half)) :]]
        self._head_size, self._tail_size = len(self._head[0]), len(self._tail[0])
        self._head_is_whole = True
        self._dropped += before - self.size

    def text(self) -> str:
        """Return it; what is left out is said in its place."""
        left_out = self.left_out
        self._head, tail = ["".join(self._head)], "".join(self._tail)
        if not left_out:
            return self._head[0] + tail
        return f"{self._head[0]}\n[… {left_out} characters left out …]\n{tail}"

    def _settle(self) -> None:
        text = "".join(self._new)
        self._new.clear()
        self._new_size = 0
        if not self._head_is_whole:
            if self._head_size + len(text) <= self._half:
                self._head.append(text)
                self._head_size += len(text)
                return
            text = "".join([*self._head, text])
            self._head_size = self._redactor.cut_before(text, self._half)
            self._head = [text[: self._head_size]]
            self._head_is_whole = True
            text = text[self._head_size :]
        self._tail.append(text)
        self._tail_size += len(text)
        if self._tail_size > 2 * self._half:
            self._trim()

    def _trim(self) -> None:
        """Let go of what of the end there is no room for."""
        if self._tail_size > self._half:
            tail = "".join(self._tail)
            start = self._redactor.cut_after(tail, self._tail_size - self._half)
            self._tail = [tail[start:]]
            self._tail_size -= start
            self._dropped += start
