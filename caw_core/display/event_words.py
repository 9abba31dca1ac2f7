"""What events say in a line or two, other than texts and tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core import events as ev
from caw_core.display.plain import local_time, one_line
from caw_core.display.tool_words import call_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.trajectory import Turn
    from caw_core.usage import UsageStats

_LONG = 200
_STEP = 25


@attrs.frozen
class Note:
    """A line about an event.

    Attributes:
        text: what it says.
        style: how it looks on a terminal, in rich's words.
        warns: somebody who wants it quiet wants to know it, too.
    """

    text: str
    style: str = "dim"
    warns: bool = False


def notes_of(event: ev.Event, width: int) -> Iterator[Note]:  # noqa: C901, PLR0912 - a flat table
    """Yield what *event* says; nothing for texts, tool calls, usage and what is no news.

    Args:
        event: what happened.
        width: how long a line may be, in characters; the words of a person stay whole.
    """
    match event:
        case ev.FileChanged():
            yield Note(f"• {event.kind} {one_line(event.path, width)}", "cyan")
        case ev.ImageDone():
            yield Note(f"• image {event.mime_type} {one_line(event.uri, _LONG)}", "cyan")
        case ev.PlanUpdated():
            for entry in event.entries:
                mark = {"completed": "x", "in_progress": "~"}.get(entry.status, " ")
                yield Note(f"  [{mark}] {one_line(entry.text, width)}")
        case ev.Steered():
            for line in event.text.splitlines():
                yield Note(f"> {line}", "bold")
        case ev.PermissionAsked():
            yield Note(f"• asks for {call_words(event.tool, event.arguments, width)}", "cyan")
        case ev.PermissionSettled(allowed=True):
            yield Note("  permitted" + (" for the whole session" if event.always else ""))
        case ev.PermissionSettled():
            why = event.reason and f": {event.reason}"
            yield Note(f"  not permitted{why}", "yellow", warns=True)
        case ev.Notice(level="warning"):
            yield Note(event.message, "yellow", warns=True)
        case ev.Notice():
            yield Note(event.message)
        case ev.Retrying():
            yield Note(_retry_words(event), "yellow")
        case ev.ProviderChanged():
            why = f": {event.reason or event.cause}"
            change = f"goes on with {event.to_provider} in place of {event.from_provider}"
            yield Note(change + why, "yellow", warns=True)
        case ev.SubagentEvent(event=ev.ToolStarted() as inner):
            words = call_words(inner.name, inner.arguments, width)
            yield Note(f"  {event.name}: {words}", "cyan")
        case ev.SubagentEvent():
            for note in notes_of(event.event, width):
                yield attrs.evolve(note, text=f"  {event.name}: {note.text}")
        case ev.Waiting():
            until = local_time(event.until)
            yield Note(f"waits until {until}: {event.reason}", "yellow", warns=True)


def _retry_words(event: ev.Retrying) -> str:
    count = f" ({event.attempt}/{event.max_attempts})" if event.max_attempts else ""
    wait = f" in {event.wait_seconds:g} s" if event.wait_seconds is not None else ""
    return f"the agent tries again{count}{wait}: {event.reason}"


class ProgressSteps:
    """Tells of preparation in lines, a few for each piece of it."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def words(self, event: ev.Progress) -> str:
        """Return what to tell now; ``""`` while there is no news."""
        percent = int(100 * event.done / event.total) if event.total else 0
        step = percent - percent % _STEP
        if self._told.get(event.label, -1) >= step:
            return ""
        self._told[event.label] = step
        return one_line(event.label, _LONG) + (f" {step} %" if event.total else "")


def usage_words(usage: UsageStats) -> list[str]:
    """Return tokens and cost, each only if known, and whether the cost is not the agent's own."""
    words = []
    if usage.total_tokens:
        came_in = usage.total_tokens - usage.output_tokens
        words.append(f"{came_in:,} tokens in, {usage.output_tokens:,} out")
    if usage.cost_usd:
        computed = " computed" if usage.cost_source == "computed" else ""
        words.append(f"${usage.cost_usd:.4f}{computed}")
    return words


def turn_words(provider: str, turn: Turn) -> list[str]:
    """Return who answered a turn, how long it took and what it and its subagents used."""
    model = "" if turn.model == provider else turn.model
    return [
        f"{provider} {model}".strip(),
        f"{turn.duration_ms / 1000:.1f} s",
        *usage_words(turn.total_usage),
    ]
