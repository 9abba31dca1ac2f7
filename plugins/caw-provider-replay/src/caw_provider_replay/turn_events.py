"""From a stored turn to events that fold to an equal one. No I/O."""

from __future__ import annotations

import inspect
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from caw_core import errors
from caw_core.blocks import (
    ImageBlock,
    SteerBlock,
    TextBlock,
    ThinkingBlock,
    ToolUse,
    UnknownBlock,
)
from caw_core.events import (
    Event,
    ImageDone,
    PlanUpdated,
    Steered,
    StructuredDone,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UsageReported,
    VendorEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import Block
    from caw_core.trajectory import ErrorInfo, Turn

_PIECE: Final = re.compile(r"\s*\S+\s*|\s+")


def turn_events(turn: Turn) -> Iterator[Event]:
    """Yield what happened in *turn*, without its end; texts come word by word, then whole."""
    for place, block in enumerate(turn.output):
        yield from _block_events(block, str(place))
    if turn.plan:
        yield PlanUpdated(entries=turn.plan)
    if turn.structured is not None:
        yield StructuredDone(value=turn.structured)
    yield UsageReported(usage=turn.usage, model=turn.model)


def turn_error(turn: Turn) -> Exception:
    """Return the error with which a turn failed, with the facts that the record has of it."""
    if turn.error is None:
        return errors.ProcessError("the agent ended in the middle of the turn")
    kind = getattr(errors, turn.error.type, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ProviderError)):
        return errors.ProviderError(turn.error.message)
    return _rebuilt(kind, turn.error)


def _rebuilt(kind: type[errors.ProviderError], info: ErrorInfo) -> errors.ProviderError:
    known: dict[str, Any] = {**info.data, "message": info.message}
    if "resets_at" in known:
        known["resets_at"] = datetime.fromisoformat(known["resets_at"])
    parameters = inspect.signature(kind).parameters
    try:
        error = kind(**{name: value for name, value in known.items() if name in parameters})
    except TypeError:
        # Not all that it is made of is kept in a record.
        return errors.ProviderError(info.message)
    # Some make their text of their facts, and add to it.
    error.args = (info.message,)
    return error


def _block_events(block: Block, place: str) -> Iterator[Event]:
    match block:
        case TextBlock():
            for piece in _PIECE.findall(block.text):
                yield TextDelta(text=piece, block_id=place)
            yield TextDone(text=block.text, block_id=place, extra=block.extra)
        case ThinkingBlock():
            for piece in _PIECE.findall(block.text):
                yield ThinkingDelta(text=piece, block_id=place)
            yield ThinkingDone(text=block.text, block_id=place, extra=block.extra)
        case ToolUse():
            yield from _tool_events(block)
        case SteerBlock():
            yield Steered(text=block.text, extra=block.extra)
        case ImageBlock():
            yield ImageDone(
                mime_type=block.mime_type, data=block.data, uri=block.uri, extra=block.extra
            )
        case UnknownBlock():
            yield VendorEvent(kind=block.type, raw=dict(block.raw))


def _tool_events(use: ToolUse) -> Iterator[Event]:
    yield ToolStarted(call_id=use.id, name=use.name, arguments=use.arguments, extra=use.extra)
    if use.status == "running":
        if use.output:
            yield ToolOutput(call_id=use.id, delta=use.output)
        return
    yield ToolFinished(
        call_id=use.id,
        output=use.output,
        is_error=use.is_error,
        status=use.status,
        content=use.content,
        duration_ms=use.duration_ms,
    )
