"""What is still to be shown of texts that come in pieces, whole, or both."""

from __future__ import annotations

Key = tuple[str, str]
"""What kind of text it is, and the ``block_id`` of its events."""


class TextFlow:
    """Knows what was shown of each text of a turn, and which one is being shown."""

    def __init__(self) -> None:
        self._said: dict[Key, list[str]] = {}
        self._open: Key | None = None
        self._last: Key | None = None

    def delta(self, key: Key, text: str) -> tuple[bool, str]:
        """Take a piece; return whether it begins on a new line, and what to show."""
        begins = self._begins(key)
        if not key[1] and self._last != key:
            # Without an id it goes on with the last block, and that is another one by now.
            self._said.pop(key, None)
        self._said.setdefault(key, []).append(text)
        self._open = self._last = key
        return begins, text

    def done(self, key: Key, text: str) -> tuple[bool, str]:
        """Take a whole text; return as `delta` what of it was not shown yet.

        The whole text is the truth: where it is not what the pieces said, all of it is shown.
        """
        said = "".join(self._said.pop(key, ()))
        goes_on = text.startswith(said)
        rest = text[len(said) :] if goes_on else text
        begins = bool(rest) and (not goes_on or self._begins(key))
        self._open = None
        self._last = key if key[1] else None
        return begins, rest

    def pause(self) -> None:
        """Something else was shown, which is no block of the turn: a text goes on in a new line."""
        self._open = None

    def part(self) -> None:
        """Another block of the turn was shown."""
        self._open = self._last = None

    def _begins(self, key: Key) -> bool:
        return key != self._open
