"""A text that grows, kept whole or without its middle."""

from __future__ import annotations

import sys
from collections import deque
from typing import Final

CHUNK: Final = 64 * 1024
"""Small pieces are joined at this size, in characters; one by one they would fill memory."""


class KeptText:
    """Keeps the beginning and the end of what it is given, as far as there is room.

    Args:
        room: how many characters to keep at most; up to half as many more are held at times.
    """

    def __init__(self, room: int = sys.maxsize) -> None:
        self._half = room // 2
        self._chunk = min(CHUNK, room)
        self._new: list[str] = []
        self._new_size = 0
        self._head: list[str] = []
        self._head_size = 0
        self._tail: deque[str] = deque()
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
        return self._dropped + self._excess

    @property
    def _excess(self) -> int:
        return max(0, self._tail_size - self._half)

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
        self._head, self._tail = [head[:half]], deque([tail[max(0, len(tail) - half) :]])
        self._head_size, self._tail_size = len(self._head[0]), len(self._tail[0])
        self._head_is_whole = True
        self._dropped += before - self.size

    def text(self) -> str:
        """Return it; what is left out is said in its place."""
        self._settle()
        self._head = ["".join(self._head)]
        left_out, tail = self.left_out, "".join(self._tail)
        if not left_out:
            return self._head[0] + tail
        return f"{self._head[0]}\n[… {left_out} characters left out …]\n{tail[self._excess :]}"

    def _settle(self) -> None:
        text = "".join(self._new)
        self._new.clear()
        self._new_size = 0
        if not self._head_is_whole:
            if self._head_size + len(text) <= self._half:
                self._head.append(text)
                self._head_size += len(text)
                return
            space = self._half - self._head_size
            self._head.append(text[:space])
            self._head_size += space
            self._head_is_whole = True
            text = text[space:]
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= self._half:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self._dropped += gone
        if (excess := self._excess) > self._half:
            self._tail[0] = self._tail[0][excess:]
            self._tail_size -= excess
            self._dropped += excess
