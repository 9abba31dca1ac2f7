"""The grammar of a turn's events, and the law of their folding; both work on any list of events."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from caw_core.errors import CawError
from caw_core.events import (
    Event,
    PermissionAsked,
    PermissionSettled,
    ProviderChanged,
    Steered,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UsageReported,
    Waiting,
)
from caw_core.fold import TurnFold
from caw_core.serialize import event_from_dict, event_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from caw_core.blocks import Block
    from caw_core.trajectory import Turn
    from caw_core.usage import UsageStats

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_FINAL = frozenset({"completed", "interrupted", "failed", "unknown"})


def check_events(events: Sequence[Event]) -> list[str]:
    """Check the events of one turn as a caller gets them, e.g. from ``session.stream(…)``.

    `TurnStarted` comes first, and again only with a higher index, where the turn gave way to one of
    the agent's own; `TurnEnded` comes last and once; a tool starts before it prints or
    finishes; deltas come before the piece that they belong to is done; each permission is asked
    before it is settled, and settled once; usage is reported in amounts that can be added; every
    event survives `caw_core.serialize`.

    Args:
        events: all events of one turn that has ended, in order.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    problems = []
    if not events or not isinstance(events[0], TurnStarted):
        first = events[0].type if events else "nothing"
        problems.append(f"the first event is {first}, not turn_started")
    places = [event.index for event in events if isinstance(event, TurnStarted)]
    if places != sorted(set(places)):
        problems.append(f"turn_started came with the indices {places}, which must rise")
    ends = [event for event in events if isinstance(event, TurnEnded)]
    if len(ends) != 1:
        problems.append(f"turn_ended came {len(ends)} times, not once")
    elif events[-1] is not ends[0]:
        problems.append(f"{events[-1].type} came after turn_ended")
    problems += [
        f"turn_ended has the status {end.status!r}, which no ended turn has"
        for end in ends
        if end.status not in _FINAL
    ]
    return [*problems, *_check_order(events), *check_values(events)]


def check_provider_events(events: Sequence[Event]) -> list[str]:
    """Check what a provider's ``prompt()`` itself yielded in one turn.

    As `check_events`, but `TurnEnded` may be missing, as a generator that returns has ended its
    turn, nothing may follow it, and the events that the core makes must not come from a provider.

    Args:
        events: what one call of ``prompt()`` yielded, in order.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    problems = [
        f"the provider yielded {event.type}, which only the core makes"
        for event in events
        if isinstance(event, TurnStarted | Steered | Waiting | ProviderChanged)
    ]
    places = [place for place, event in enumerate(events) if isinstance(event, TurnEnded)]
    if len(places) > 1:
        problems.append(f"the provider yielded turn_ended {len(places)} times")
    if places and places[0] != len(events) - 1:
        after = ", ".join(event.type for event in events[places[0] + 1 :][:5])
        problems.append(f"the provider went on after turn_ended: {after}")
    return [*problems, *_check_order(events), *check_values(events)]


def check_fold(events: Sequence[Event], *, complete: bool = True) -> list[str]:
    """Check that deltas and whole pieces tell the same story.

    Args:
        events: the events of one turn.
        complete: the turn came to its own end, so that deltas add up to what is said at their
            end. After an interrupt or a retry they need not.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    done = {_piece(event) for event in events if isinstance(event, TextDone | ThinkingDone)}
    streamed = {_piece(event) for event in events if isinstance(event, TextDelta | ThinkingDelta)}
    whole = [
        event
        for event in events
        if not (isinstance(event, TextDelta | ThinkingDelta) and _piece(event) in done)
    ]
    problems = []
    if _blocks(whole) != _blocks(events):
        problems.append(
            "the turn folds to other blocks without the deltas of the pieces that are done: "
            f"{_shown(_blocks(events))} became {_shown(_blocks(whole))}",
        )
    if complete:
        parts = [
            event
            for event in events
            if not (isinstance(event, TextDone | ThinkingDone) and _piece(event) in streamed)
        ]
        if _said(parts) != _said(events):
            problems.append(
                "deltas do not add up to the piece that is done: "
                f"{_said(parts)[:200]!r} instead of {_said(events)[:200]!r}",
            )
    return problems


def folded(events: Iterable[Event]) -> Turn:
    """Return the turn that *events* fold to."""
    fold = TurnFold(index=0, prompt="")
    for event in events:
        fold.add(event)
    return fold.turn()


def _blocks(events: Iterable[Event]) -> tuple[Block, ...]:
    return folded(events).output


def _said(events: Iterable[Event]) -> str:
    # Blocks, not their extras: only a whole piece can carry these.
    return "|".join(f"{block.type}:{getattr(block, 'text', '')}" for block in folded(events).output)


def _shown(blocks: Iterable[Block]) -> str:
    return ", ".join(block.type for block in blocks) or "nothing"


def _piece(event: TextDelta | TextDone | ThinkingDelta | ThinkingDone) -> tuple[str, str]:
    return event.type.partition("_")[0], event.block_id


def _check_order(events: Sequence[Event]) -> list[str]:
    order = _Order()
    for event in events:
        order.add(event)
    order.end()
    return order.problems


class _Order:
    """What must come before what."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._running: set[str] = set()
        self._finished: set[str] = set()
        self._done: set[tuple[str, str]] = set()
        self._asked: set[str] = set()

    def add(self, event: Event) -> None:
        match event:
            case ToolStarted():
                self._start(event.call_id)
            case ToolArguments() | ToolOutput() | ToolFinished():
                self._go_on(event)
            case TextDelta() | ThinkingDelta() | TextDone() | ThinkingDone():
                self._say(event)
            case PermissionAsked() | PermissionSettled():
                self._ask(event)

    def end(self) -> None:
        self.problems += [
            f"permission {request_id!r} was asked and never settled"
            for request_id in sorted(self._asked)
        ]

    def _start(self, call_id: str) -> None:
        if not call_id:
            self.problems.append("a tool call has no id")
        self._finished.discard(call_id)
        self._running.add(call_id)

    def _go_on(self, event: ToolArguments | ToolOutput | ToolFinished) -> None:
        call_id = event.call_id
        if call_id in self._finished:
            self.problems.append(f"{event.type} of call {call_id!r} came after tool_finished")
        elif call_id not in self._running:
            self.problems.append(f"{event.type} of call {call_id!r} came before tool_started")
        if isinstance(event, ToolFinished):
            self._running.discard(call_id)
            self._finished.add(call_id)

    def _say(self, event: TextDelta | ThinkingDelta | TextDone | ThinkingDone) -> None:
        if not event.block_id:
            return
        piece = _piece(event)
        if isinstance(event, TextDone | ThinkingDone):
            self._done.add(piece)
        elif piece in self._done:
            self.problems.append(f"{event.type} came after the piece {event.block_id!r} was done")

    def _ask(self, event: PermissionAsked | PermissionSettled) -> None:
        request_id = event.request_id
        if isinstance(event, PermissionAsked):
            if request_id in self._asked:
                self.problems.append(f"permission {request_id!r} was asked again while it is open")
            self._asked.add(request_id)
        elif request_id in self._asked:
            self._asked.discard(request_id)
        else:
            self.problems.append(f"permission {request_id!r} was settled without being open")


def check_values(events: Sequence[Event]) -> list[str]:
    """Check that each of *events* can be stored and added up; their order does not matter.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    problems = []
    for event in events:
        if isinstance(event, UsageReported):
            problems += check_usage(event.usage)
        try:
            document = json.loads(json.dumps(event_to_dict(event), allow_nan=False))
            read = event_from_dict(document)
        except (CawError, TypeError, ValueError, RecursionError) as error:
            problems.append(f"{event.type} cannot be stored: {type(error).__name__}: {error}")
            continue
        if read != event:
            problems.append(
                f"{event.type} is another value once it was stored: {event!r:.300} became "
                f"{read!r:.300}",
            )
    return problems


def check_usage(usage: UsageStats) -> list[str]:
    """Check that a usage can be added to others.

    Args:
        usage: what one model call, or one turn, used.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    problems = []
    for name in _COUNTS:
        count = getattr(usage, name)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            problems.append(f"usage.{name} is {count!r}, not a count from 0 up")
    if not problems and usage.reasoning_tokens > usage.output_tokens:
        problems.append(
            f"usage has {usage.reasoning_tokens} reasoning tokens among "
            f"{usage.output_tokens} output tokens, of which they are a part",
        )
    cost = usage.cost_usd
    if cost is not None and not (math.isfinite(cost) and cost >= 0):
        problems.append(f"usage.cost_usd is {cost!r}, not an amount from 0 up or None")
    return problems
