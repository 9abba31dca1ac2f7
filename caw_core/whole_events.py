"""A turn's events without the pieces of what is whole later: for those who tell a line of each."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.events import (
    Event,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@attrs.define
class RunningTool:
    """A tool call that has no result yet.

    Attributes:
        call_id: its id.
        name: the tool's name.
        arguments: what it was called with, as far as known.
        since: when it began, as `time.monotonic` tells it.
        written: its arguments as the model writes them.
        printed: what it printed so far.
        told: whether its beginning was told.
    """

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    since: float
    written: str = ""
    printed: list[str] = attrs.field(factory=list)
    told: bool = False


class WholeTools:
    """Tells of each tool call when its arguments are known, and when it has its result.

    `ToolFinished` then has name, arguments, output and duration. Other events pass.
    """

    def __init__(self) -> None:
        self._running: dict[str, RunningTool] = {}

    @property
    def running(self) -> tuple[RunningTool, ...]:
        """The calls without a result."""
        return tuple(self._running.values())

    def feed(self, event: Event) -> Iterator[Event]:
        """Take the next event; yield what is whole by now."""
        match event:
            case ToolStarted():
                tool = self._tool(event.call_id)
                tool.name, tool.arguments = event.name, event.arguments or tool.arguments
                if event.arguments:
                    yield from self._begun(tool)
            case ToolArguments():
                self._tool(event.call_id).written += event.delta
            case ToolOutput():
                tool = self._tool(event.call_id)
                tool.printed.append(event.delta)
                yield from self._begun(tool)
            case ToolFinished():
                yield from self._finish(event)
            case _:
                yield event

    def _tool(self, call_id: str) -> RunningTool:
        if call_id not in self._running:
            self._running[call_id] = RunningTool(call_id, "", {}, time.monotonic())
        return self._running[call_id]

    def _finish(self, event: ToolFinished) -> Iterator[Event]:
        tool = self._tool(event.call_id)
        tool.name = event.name or tool.name
        if event.arguments is not None:
            tool.arguments = event.arguments
        yield from self._begun(tool)
        del self._running[event.call_id]
        duration = event.duration_ms
        if duration is None:
            duration = round((time.monotonic() - tool.since) * 1000)
        output = "".join(tool.printed) if event.output is None else event.output
        yield attrs.evolve(
            event,
            name=tool.name,
            arguments=tool.arguments,
            output=output,
            duration_ms=duration,
        )

    def _begun(self, tool: RunningTool) -> Iterator[Event]:
        if tool.told:
            return
        tool.told = True
        if not tool.arguments and tool.written:
            tool.arguments = _read(tool.written)
        yield ToolStarted(call_id=tool.call_id, name=tool.name, arguments=tool.arguments)


def _read(written: str) -> Mapping[str, Any]:
    try:
        arguments = json.loads(written)
    except ValueError:
        arguments = written
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


class WholeTexts:
    """Tells of each text and each piece of thinking once, when it is complete; others pass.

    A text is complete when the agent says so, and at the latest where something else begins.
    """

    def __init__(self) -> None:
        self._open: tuple[type[Event], str] | None = None
        self._pieces: list[str] = []
        self._told: dict[tuple[type[Event], str], str] = {}

    def feed(self, event: Event) -> Iterator[Event]:
        """Take the next event; yield what is whole by now."""
        match event:
            case TextDelta() | ThinkingDelta():
                key = (TextDone if isinstance(event, TextDelta) else ThinkingDone, event.block_id)
                if key != self._open:
                    yield from self.rest()
                    self._open = key
                self._pieces.append(event.text)
            case TextDone() | ThinkingDone():
                key = (type(event), event.block_id)
                if key == self._open:
                    self._open, self._pieces = None, []
                else:
                    yield from self.rest()
                said = self._told.pop(key, "")
                text = event.text.removeprefix(said)
                if text:
                    yield attrs.evolve(event, text=text)
            case ToolStarted() | ToolFinished():
                yield from self.rest()
                yield event
            case _:
                yield event

    def rest(self) -> Iterator[Event]:
        """Yield the text that was open; nothing more of it was said."""
        if self._open is None:
            return
        kind, block_id = key = self._open
        text = "".join(self._pieces)
        self._open, self._pieces = None, []
        self._told[key] = self._told.get(key, "") + text if block_id else text
        if text:
            yield kind(text=text, block_id=block_id)  # type: ignore[call-arg]  # one of the two
