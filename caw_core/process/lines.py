"""Bytes to lines."""

from __future__ import annotations


class LineSplitter:
    r"""Cut a stream of bytes into lines, of any length.

    Only ``\n`` ends a line (a JSON string may hold U+2028, at which `str.splitlines` would cut); a
    ``\r`` before it is dropped. Decoding is left to the caller, so a character that is split
    between two reads is no problem.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the lines that they complete."""
        head, *rest = data.split(b"\n")
        self._parts.append(head)
        if not rest:
            return []
        first = b"".join(self._parts)
        self._parts = [rest[-1]]
        return [line.removesuffix(b"\r") for line in (first, *rest[:-1])]

    def flush(self) -> list[bytes]:
        """Return what is left when the stream has ended in mid-line."""
        rest = b"".join(self._parts).removesuffix(b"\r")
        self._parts = []
        return [rest] if rest else []
