"""From events to the turn that they amount to."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import JSON, Block, ImageBlock, SteerBlock, TextBlock, ThinkingBlock
from caw_core.events import (
    Event,
    ImageDone,
    PlanUpdated,
    ProviderChanged,
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
from caw_core.fold_pieces import Piece, TextPiece, ToolPiece, WholePiece
from caw_core.kept_output import KeptOutput
from caw_core.kept_text import NO_SECRETS, KeptText
from caw_core.trajectory import PlanEntry, ResolvedOption, Turn
from caw_core.usage import UsageTally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from caw_core.redaction import Redactor
    from caw_core.trajectory import TurnOrigin

PROVIDER_CHANGES: Final = "provider_changes"
"""In a turn's ``extra``: a list of what its `caw_core.events.ProviderChanged` events said."""


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
        keep_output: how many characters of output to keep, about; None for all. Older blocks get
            shorter, and in the end go; the ``extra`` of the block or the turn says ``left_out``.
        redactor: knows the secrets of which no part may be left where a text is shortened.
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
        keep_output: int | None = None,
        redactor: Redactor = NO_SECRETS,
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
        self._pieces: list[Piece] = []
        self._kept = None if keep_output is None else KeptOutput(keep_output, self._pieces)
        room = sys.maxsize if self._kept is None else self._kept.room_of_one
        self._new_kept = functools.partial(KeptText, room, redactor)
        self._texts: dict[tuple[type[Block], str], TextPiece] = {}
        self._tools: dict[str, ToolPiece] = {}
        self._usage = UsageTally()
        self._model = ""
        self._plan: tuple[PlanEntry, ...] = ()
        self._structured: JSON = None
        self._raw: list[str] = []
        self._changes: list[JSON] = []
        self._end: TurnEnded | None = None
        self._handlers: dict[type[Event], Callable[..., Piece | None]] = {
            TextDelta: self._text_delta,
            TextDone: self._text_done,
            ThinkingDelta: self._text_delta,
            ThinkingDone: self._text_done,
            ImageDone: self._image,
            ToolStarted: self._tool_started,
            ToolArguments: self._tool_arguments,
            ToolOutput: self._tool_output,
            ToolFinished: self._tool_finished,
            PlanUpdated: self._plan_updated,
            ProviderChanged: self._provider_changed,
            UsageReported: self._usage_reported,
            Steered: self._steered,
            StructuredDone: self._structured_done,
            RawOutput: self._raw_output,
            TurnEnded: self._ended,
        }

    def add(self, event: Event) -> None:
        """Take the next event; kinds that leave no trace in a turn are passed over."""
        handler = self._handlers.get(type(event))
        piece = handler(event) if handler is not None else None
        if piece is not None and self._kept is not None and self._kept.note(piece):
            kept = set(self._pieces)
            self._texts = {key: piece for key, piece in self._texts.items() if piece in kept}
            self._tools = {key: piece for key, piece in self._tools.items() if piece in kept}

    def renumber(self, index: int) -> None:
        """Give the turn another place in the session."""
        self._head = attrs.evolve(self._head, index=index)

    def treat(self, options: Sequence[ResolvedOption]) -> None:
        """Say how another provider treats the caller's options."""
        self._head = attrs.evolve(self._head, options=tuple(options))

    @property
    def blocks_so_far(self) -> int:
        """How many blocks there were, those among them that were not kept."""
        gone = self._kept.blocks_left_out if self._kept is not None else 0
        return gone + sum(piece.block() is not None for piece in self._pieces)

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
            extra={
                **(self._kept.mark if self._kept is not None else {}),
                **({PROVIDER_CHANGES: list(self._changes)} if self._changes else {}),
            },
            raw_output=tuple(self._raw),
        )

    @staticmethod
    def _kind(event: Event) -> type[TextBlock | ThinkingBlock]:
        return TextBlock if isinstance(event, TextDelta | TextDone) else ThinkingBlock

    def _text_delta(self, event: TextDelta | ThinkingDelta) -> Piece:
        key = (self._kind(event), event.block_id)
        piece = self._texts.get(key)
        # Without an id only the last piece can be meant: after anything else a new one begins.
        if piece is None or (not event.block_id and (piece.done or self._pieces[-1] is not piece)):
            piece = self._new_text(key)
        piece.grow(event.text)
        return piece

    def _text_done(self, event: TextDone | ThinkingDone) -> Piece:
        key = (self._kind(event), event.block_id)
        piece = self._texts.get(key)
        if piece is None or (piece.done and not event.block_id):
            piece = self._new_text(key)
        piece.finish(event.text, event.extra)
        return piece

    def _new_text(self, key: tuple[type[TextBlock | ThinkingBlock], str]) -> TextPiece:
        piece = TextPiece(key[0], self._new_kept)
        self._texts[key] = piece
        self._pieces.append(piece)
        return piece

    def _whole(self, block: Block) -> Piece:
        piece = WholePiece(block)
        self._pieces.append(piece)
        return piece

    def _image(self, event: ImageDone) -> Piece:
        return self._whole(
            ImageBlock(
                mime_type=event.mime_type,
                data=event.data,
                uri=event.uri,
                extra=event.extra,
            )
        )

    def _tool(self, call_id: str) -> ToolPiece:
        piece = self._tools.get(call_id)
        if piece is None:
            piece = self._tools[call_id] = ToolPiece(call_id, self._new_kept)
            self._pieces.append(piece)
        return piece

    def _tool_started(self, event: ToolStarted) -> Piece:
        piece = self._tool(event.call_id)
        piece.start(event)
        return piece

    def _tool_arguments(self, event: ToolArguments) -> Piece:
        piece = self._tool(event.call_id)
        piece.add_arguments(event.delta)
        return piece

    def _tool_output(self, event: ToolOutput) -> Piece:
        piece = self._tool(event.call_id)
        piece.add_output(event.delta)
        return piece

    def _tool_finished(self, event: ToolFinished) -> Piece:
        piece = self._tool(event.call_id)
        piece.finish(event)
        return piece

    def _plan_updated(self, event: PlanUpdated) -> None:
        self._plan = event.entries

    def _provider_changed(self, event: ProviderChanged) -> None:
        self._changes.append(
            {
                "from_provider": event.from_provider,
                "to_provider": event.to_provider,
                "cause": event.cause,
                "reason": event.reason,
                **event.extra,
            }
        )

    def _usage_reported(self, event: UsageReported) -> None:
        self._usage.add(event.usage, cost_follows=event.cost_follows)
        self._model = event.model or self._model

    def _steered(self, event: Steered) -> Piece:
        return self._whole(SteerBlock(text=event.text, extra=event.extra))

    def _structured_done(self, event: StructuredDone) -> None:
        self._structured = event.value

    def _raw_output(self, event: RawOutput) -> None:
        self._raw.append(event.line)

    def _ended(self, event: TurnEnded) -> None:
        self._end = event
