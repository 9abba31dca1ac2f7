"""The pieces of a turn while it runs: blocks that may still change, and get shorter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from caw_core.blocks import (
    JSON,
    Block,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolStatus,
    ToolUse,
)
from caw_core.kept_text import KeptText
from caw_core.sizes import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.events import ToolFinished, ToolStarted

LEFT_OUT: Final = "left_out"
"""In a block's ``extra``: how many characters of it were not kept."""


NewText = Callable[[], KeptText]
"""Makes what a piece keeps a text in."""


def checked(text: object) -> str:
    """Return *text* if it is one; raise `TypeError` otherwise."""
    # Found here, where the provider still stands in the traceback, and not when parts are joined.
    if not isinstance(text, str):
        msg = f"the text of an event must be str, not {type(text).__name__}"
        raise TypeError(msg)
    return text


class Piece(Protocol):
    """What will be a block."""

    @property
    def open(self) -> bool:
        """Whether something is still to come that belongs to it."""

    @property
    def size(self) -> int:
        """How many characters it holds."""

    @property
    def left_out(self) -> int:
        """How many characters it was given and does not hold."""

    def shorten(self, room: int) -> None:
        """Hold no part that is longer than *room* characters."""

    def block(self) -> Block | None:
        """Return the block, the same object as long as nothing changed; None for an empty one."""


class TextPiece:
    """A text or a piece of thinking that may still grow."""

    open = False

    def __init__(self, kind: type[TextBlock | ThinkingBlock], new_text: NewText = KeptText) -> None:
        self.done = False
        self._kind: Final = kind
        self._text = new_text()
        self._extra: Mapping[str, JSON] = {}
        self._extra_left_out = 0
        self._block: Block | None = None

    def grow(self, text: str) -> None:
        """Add *text* at the end."""
        self._text.grow(checked(text))
        self._block = None

    def finish(self, text: str, extra: Mapping[str, JSON]) -> None:
        """Be *text* and nothing else."""
        self._text.replace(checked(text))
        self._extra, self._extra_left_out = dict(extra), 0
        self.done = True
        self._block = None

    @property
    def size(self) -> int:
        """See `Piece`."""
        return self._text.size + size_of(self._extra)

    @property
    def left_out(self) -> int:
        """See `Piece`."""
        return self._text.left_out + self._extra_left_out

    def shorten(self, room: int) -> None:
        """See `Piece`."""
        self._text.shorten(room)
        self._extra, left_out = _emptied(self._extra, room)
        self._extra_left_out += left_out
        self._block = None

    def block(self) -> Block | None:
        """See `Piece`."""
        if self._block is None:
            text = self._text.text()
            if not text:
                return None
            self._block = self._kind(text=text, extra=_marked(self._extra, self.left_out))
        return self._block


class ToolPiece:
    """A tool call between its start and its result."""

    def __init__(self, call_id: str, new_text: NewText = KeptText) -> None:
        self._use = ToolUse(id=call_id, name="", status="running")
        self._arguments = new_text()
        self._output = new_text()
        self._parts_left_out = 0
        self._block: ToolUse | None = None

    def start(self, event: ToolStarted) -> None:
        """Take what the call is."""
        self._read_arguments()
        self._change(
            name=event.name,
            arguments=event.arguments or self._use.arguments,
            extra={**self._use.extra, **event.extra},
        )

    def add_arguments(self, text: str) -> None:
        """Take more of the arguments' JSON."""
        self._arguments.grow(checked(text))
        self._block = None

    def add_output(self, text: str) -> None:
        """Take more of what the tool prints."""
        self._output.grow(checked(text))
        self._block = None

    def finish(self, event: ToolFinished) -> None:
        """Take the result."""
        self._read_arguments()
        if event.arguments is not None:
            self._arguments.replace("")
        if event.output is not None:
            self._output.replace(checked(event.output))
        status: ToolStatus = event.status or ("failed" if event.is_error else "completed")
        self._change(
            name=self._use.name if event.name is None else event.name,
            arguments=self._use.arguments if event.arguments is None else event.arguments,
            is_error=event.is_error or status == "declined",
            status=status,
            content=event.content,
            duration_ms=event.duration_ms,
            extra={**self._use.extra, **event.extra},
        )

    @property
    def open(self) -> bool:
        """See `Piece`."""
        return self._use.status == "running"

    @property
    def size(self) -> int:
        """See `Piece`."""
        use = self._use
        parts = size_of((use.arguments, use.content, use.extra))
        return self._output.size + self._arguments.size + parts

    @property
    def left_out(self) -> int:
        """See `Piece`."""
        return self._output.left_out + self._arguments.left_out + self._parts_left_out

    def shorten(self, room: int) -> None:
        """See `Piece`. Half an argument would be another one, so such parts are left out whole."""
        self._read_arguments()
        self._output.shorten(room)
        self._arguments.shorten(room)
        arguments, first = _emptied(self._use.arguments, room)
        content, second = _emptied(self._use.content, room)
        extra, third = _emptied(self._use.extra, room)
        self._parts_left_out += first + second + third
        self._change(arguments=arguments, content=content, extra=extra)

    def block(self) -> Block:
        """See `Piece`."""
        if self._block is None:
            self._read_arguments()
            self._block = attrs.evolve(
                self._use,
                output=self._output.text(),
                extra=_marked(self._use.extra, self.left_out),
            )
        return self._block

    def _read_arguments(self) -> None:
        if not self._arguments.size or self._arguments.left_out:
            return
        try:
            arguments = json.loads(self._arguments.text())
        except (ValueError, RecursionError):
            return
        if isinstance(arguments, dict):
            self._change(arguments=arguments)

    def _change(self, **changes: Any) -> None:
        self._use = attrs.evolve(self._use, **changes)
        self._block = None


class WholePiece:
    """A piece that came in one go."""

    open = False
    left_out = 0

    def __init__(self, block: Block) -> None:
        self._block = block

    @property
    def size(self) -> int:
        """See `Piece`."""
        return size_of(self._block)

    def shorten(self, room: int) -> None:
        """See `Piece`. Half an image is none; what a person said into the turn stays whole."""
        if isinstance(self._block, ImageBlock) and len(self._block.data) > room:
            self.left_out = len(self._block.data)
            extra = _marked(self._block.extra, self.left_out)
            self._block = attrs.evolve(self._block, data="", extra=extra)

    def block(self) -> Block:
        """See `Piece`."""
        return self._block


def _emptied(part: Any, room: int) -> tuple[Any, int]:
    size = size_of(part)
    return (part, 0) if size <= room else (type(part)(), size)


def _marked(extra: Mapping[str, JSON], left_out: int) -> Mapping[str, JSON]:
    return {**extra, LEFT_OUT: left_out} if left_out else extra
