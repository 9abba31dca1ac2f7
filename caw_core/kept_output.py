"""How much of a turn's output is kept, where the caller does not want all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.fold_pieces import Piece

LEAST: Final = 10_000
"""Less than this many characters would leave no room for a handful of blocks."""

_BLOCK: Final = 1_000
"""What a block takes besides its text, about, in bytes: many small ones fill memory, too."""

_STUB: Final = 200
"""What is left of each part of an older block, in characters, when room is needed."""


class KeptOutput:
    """Holds a turn's pieces to a number of characters: the older ones get shorter, then go.

    Each time it frees a quarter of the room, so that the work stays in proportion to what comes.

    Args:
        room: how many characters to keep.
        pieces: the turn's, in order; the last one may still grow.

    Attributes:
        blocks_left_out: how many pieces are gone.
    """

    def __init__(self, room: int, pieces: list[Piece]) -> None:
        self._room = room
        self._pieces = pieces
        self._sizes: dict[Piece, int] = {}
        self._stubs: set[Piece] = set()
        self._total = 0
        self.blocks_left_out = 0
        self._left_out = 0

    @property
    def room_of_one(self) -> int:
        """How much of it one piece may take."""
        return self._room // 2

    @property
    def mark(self) -> Mapping[str, Any]:
        """What the turn's ``extra`` is to say; empty as long as every block is there."""
        if not self.blocks_left_out:
            return {}
        return {"left_out": {"blocks": self.blocks_left_out, "characters": self._left_out}}

    def note(self, piece: Piece) -> bool:
        """Take account of a piece that is new or has changed; tell whether others had to go."""
        size = piece.size + _BLOCK
        self._total += size - self._sizes.get(piece, 0)
        self._sizes[piece] = size
        self._stubs.discard(piece)
        return self._total > self._room and self._make_room()

    def _make_room(self) -> bool:
        enough = self._room * 3 // 4
        # A tool that still runs is to get its result, so it goes last.
        older = sorted(self._pieces[:-1], key=lambda piece: piece.open)
        for piece in older:
            if self._total <= enough:
                return False
            if piece not in self._stubs:
                self._shorten(piece, _STUB)
                self._stubs.add(piece)
        self._shorten(self._pieces[-1], self.room_of_one)
        gone = set()
        for piece in older:
            if self._total <= enough:
                break
            gone.add(piece)
            self._total -= self._sizes.pop(piece)
            self.blocks_left_out += 1
            self._left_out += piece.size + piece.left_out
        self._stubs -= gone
        self._pieces[:] = [piece for piece in self._pieces if piece not in gone]
        return bool(gone)

    def _shorten(self, piece: Piece, room: int) -> None:
        piece.shorten(room)
        self._total -= self._sizes[piece]
        self._sizes[piece] = piece.size + _BLOCK
        self._total += self._sizes[piece]
