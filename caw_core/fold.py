"""From events to the turn that they amount to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import (
    JSON,
    Block,
    ImageBlock,
    SteerBlock,
    TextBlock,
    ThinkingBlock,
    ToolStatus,
    ToolUse,
)
from caw_core.events import (
    Event,
    ImageDone,
    PlanUpdated,
    RawOutput,
    Steered,
    StructuredDone,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    UsageReported,
)
from caw_core.trajectory import PlanEntry, ResolvedOption, Turn
from caw_core.usage import UsageTally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from caw_core.trajectory import TurnOrigin


def _checked(text: object) -> str:
    # Found here, where the provider still stands in the traceback, and not when parts are joined.
    if not isinstance(text, str):
        msg = f"the text of an event must be str, not {type(text).__name__}"
        raise TypeError(msg)
    return text


class _TextPiece:
    """A text or a piece of thinking that may still grow."""

    def __init__(self, kind: type[TextBlock | ThinkingBlock]) -> None:
        self.kind: Final = kind
        self.parts: list[str] = []
        self.extra: dict[str, JSON] = {}
        self.done = False
        self._block: Block | None = None

    def grow(self, text: str) -> None:
        self.parts.append(_checked(text))
        self._block = None

    def finish(self, text: str, extra: Mapping[str, JSON]) -> None:
        self.parts = [_checked(text)]
        self.extra = dict(extra)
        self.done = True
        self._block = None

    def block(self) -> Block | None:
        if self._block is None:
            self.parts = ["".join(self.parts)]
            if not self.parts[0]:
                return None
            self._block = self.kind(text=self.parts[0], extra=self.extra)
        return self._block


class _ToolPiece:
    """A tool call between its start and its result."""

    def __init__(self, call_id: str) -> None:
        self.use = ToolUse(id=call_id, name="", status="running")
        self.argument_parts: list[str] = []
        self.output_parts: list[str] = []

    def start(self, event: ToolStarted) -> None:
        self._settle()
        self.use = attrs.evolve(
            self.use,
            name=event.name,
            arguments=event.arguments or self.use.arguments,
            extra={**self.use.extra, **event.extra},
        )

    def finish(self, event: ToolFinished) -> None:
        self._settle()
        if event.arguments is not None:
            self.argument_parts = []
        status: ToolStatus = event.status or ("failed" if event.is_error else "completed")
        self.use = attrs.evolve(
            self.use,
            name=self.use.name if event.name is None else event.name,
            arguments=self.use.arguments if event.arguments is None else event.arguments,
            output=self.use.output if event.output is None else event.output,
            is_error=event.is_error or status == "declined",
            status=status,
            content=event.content,
            duration_ms=event.duration_ms,
            extra={**self.use.extra, **event.extra},
        )

    def _settle(self) -> None:
        if self.output_parts:
            output = self.use.output + "".join(self.output_parts)
            self.output_parts = []
            self.use = attrs.evolve(self.use, output=output)
        if self.argument_parts:
            self.argument_parts = ["".join(self.argument_parts)]
            try:
                arguments = json.loads(self.argument_parts[0])
            except ValueError:
                return
            if isinstance(arguments, dict):
                self.use = attrs.evolve(self.use, arguments=arguments)

    def block(self) -> Block:
        self._settle()
        return self.use


class _WholePiece:
    """A piece that came in one go."""

    def __init__(self, block: Block) -> None:
        self._block = block

    def block(self) -> Block:
        return self._block


_Piece = _TextPiece | _ToolPiece | _WholePiece


class TurnFold:
    """Takes the events of one turn in order; `turn` gives the turn as it is at that moment.

    Text that comes as deltas, whole, or both folds to the same blocks. Blocks that did not change
    between two calls of `turn` are the same objects, so that a storage can tell what is new.

    Args:
        index: the turn's place in the session.
        prompt: the prompt's text.
        origin: who began the turn.
        attachments: what came with it, as the record names it.
        started_at: ISO 8601, UTC.
        options: how the caller's options were treated.
    """

    def __init__(
        self,
        *,
        index: int,
        prompt: str,
        origin: TurnOrigin = "user",
        attachments: Sequence[Mapping[str, JSON]] = (),
        started_at: str = "",
        options: Sequence[ResolvedOption] = (),
    ) -> None:
        self._head = Turn(
            index=index,
            input=prompt,
            origin=origin,
            attachments=tuple(attachments),
            status="running",
            started_at=started_at,
            options=tuple(options),
        )
        self._pieces: list[_Piece] = []
        self._texts: dict[tuple[type[Block], str], _TextPiece] = {}
        self._tools: dict[str, _ToolPiece] = {}
        self._usage = UsageTally()
        self._model = ""
        self._plan: tuple[PlanEntry, ...] = ()
        self._structured: JSON = None
        self._raw: list[str] = []
        self._end: TurnEnded | None = None
        self._handlers: dict[type[Event], Callable[..., None]] = {
            TextDelta: self._text_delta,
            TextDone: self._text_done,
            ThinkingDelta: self._text_delta,
            ThinkingDone: self._text_done,
            ImageDone: self._image,
            ToolStarted: lambda event: self._tool(event.call_id).start(event),
            ToolArguments: lambda event: self._tool(event.call_id).argument_parts.append(
                _checked(event.delta),
            ),
            ToolOutput: lambda event: self._tool(event.call_id).output_parts.append(
                _checked(event.delta),
            ),
            ToolFinished: lambda event: self._tool(event.call_id).finish(event),
            PlanUpdated: self._plan_updated,
            UsageReported: self._usage_reported,
            Steered: self._steered,
            StructuredDone: self._structured_done,
            RawOutput: lambda event: self._raw.append(event.line),
            TurnEnded: self._ended,
        }

    def add(self, event: Event) -> None:
        """Take the next event; kinds that leave no trace in a turn are passed over."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def renumber(self, index: int) -> None:
        """Give the turn another place in the session."""
        self._head = attrs.evolve(self._head, index=index)

    def turn(self, *, duration_ms: int = 0) -> Turn:
        """Return the turn so far, ``running`` until a `TurnEnded` has come."""
        end = self._end
        blocks = (piece.block() for piece in self._pieces)
        return attrs.evolve(
            self._head,
            output=tuple(block for block in blocks if block is not None),
            usage=self._usage.total,
            duration_ms=duration_ms,
            status=(end.status or "completed") if end else "running",
            stop_reason=end.stop_reason if end else None,
            error=end.error if end else None,
            model=self._model,
            plan=self._plan,
            structured=self._structured,
            raw_output=tuple(self._raw),
        )

    @staticmethod
    def _kind(event: Event) -> type[TextBlock | ThinkingBlock]:
        return TextBlock if isinstance(event, TextDelta | TextDone) else ThinkingBlock

    def _text_delta(self, event: TextDelta | ThinkingDelta) -> None:
        key = (self._kind(event), event.block_id)
        piece = self._texts.get(key)
        # Without an id only the last piece can be meant: after anything else a new one begins.
        if piece is None or (not event.block_id and (piece.done or self._pieces[-1] is not piece)):
            piece = self._new_text(key)
        piece.grow(event.text)

    def _text_done(self, event: TextDone | ThinkingDone) -> None:
        key = (self._kind(event), event.block_id)
        piece = self._texts.get(key)
        if piece is None or (piece.done and not event.block_id):
            piece = self._new_text(key)
        piece.finish(event.text, event.extra)

    def _new_text(self, key: tuple[type[TextBlock | ThinkingBlock], str]) -> _TextPiece:
        piece = _TextPiece(key[0])
        self._texts[key] = piece
        self._pieces.append(piece)
        return piece

    def _image(self, event: ImageDone) -> None:
        block = ImageBlock(
            mime_type=event.mime_type,
            data=event.data,
            uri=event.uri,
            extra=event.extra,
        )
        self._pieces.append(_WholePiece(block))

    def _tool(self, call_id: str) -> _ToolPiece:
        piece = self._tools.get(call_id)
        if piece is None:
            piece = self._tools[call_id] = _ToolPiece(call_id)
            self._pieces.append(piece)
        return piece

    def _plan_updated(self, event: PlanUpdated) -> None:
        self._plan = event.entries

    def _usage_reported(self, event: UsageReported) -> None:
        self._usage.add(event.usage, cost_follows=event.cost_follows)
        self._model = event.model or self._model

    def _steered(self, event: Steered) -> None:
        self._pieces.append(_WholePiece(SteerBlock(text=event.text, extra=event.extra)))

    def _structured_done(self, event: StructuredDone) -> None:
        self._structured = event.value

    def _ended(self, event: TurnEnded) -> None:
        self._end = event
