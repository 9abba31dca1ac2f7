"""`Display` as the wrapper has it, on caw-core's: on stderr, never on stdout.

A class derived from `Display` has its handlers called with whole blocks, in each mode. Those that
it leaves as they are show a line.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import TYPE_CHECKING, Final

from caw.from_core import usage_of
from caw.models import TextBlock, ThinkingBlock, ToolUse, UsageStats
from caw_core import events
from caw_core.display import choice
from caw_core.display.display import Display as CoreDisplay
from caw_core.display.display import DisplayMode
from caw_core.display.plain import one_line, plain
from caw_core.whole_events import WholeTexts, WholeTools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.events import Event
    from caw_core.trajectory import SessionInfo, Turn

__all__ = ["Display", "DisplayMode", "get_global_display", "set_global_display"]

LOG_ENV_VAR: Final = choice.VARIABLE

_SHORT: Final = 80
"""How long what is said is in mode ``short``, in characters."""

_HANDLERS: Final = (
    "on_metadata",
    "on_text",
    "on_thinking",
    "on_tool_call",
    "on_tool_result",
    "on_turn_end",
    "on_user_message",
)


class Display(CoreDisplay):
    """Shows turns; override a handler to do something else with them.

    Args:
        mode: how much is shown: a `DisplayMode` or its value.

    Raises:
        ValueError: there is no such mode.
    """

    def __init__(self, mode: DisplayMode | str = DisplayMode.SHORT) -> None:
        super().__init__(mode)
        self._handled: dict[tuple[str, int], tuple[WholeTools, WholeTexts]] = {}

    def on_metadata(self, **kwargs: str) -> None:
        """Take facts about the session, in its first turn."""
        self._say("Metadata", _facts(kwargs))

    def on_user_message(self, message: str) -> None:
        """Take the prompt."""
        self._say("User", message)

    def on_text(self, block: TextBlock) -> None:
        """Take a text."""
        self._say("Assistant", block.text)

    def on_thinking(self, block: ThinkingBlock) -> None:
        """Take a piece of reasoning."""
        self._say("Thinking", block.text)

    def on_tool_call(self, block: ToolUse) -> None:
        """Take a call that has no result yet."""
        self._say("Tool", f"{block.name} {json.dumps(block.arguments)}")

    def on_tool_result(self, block: ToolUse) -> None:
        """Take a call with its result."""
        self._say("Result", f"{block.name} {block.output}")

    def on_turn_end(self, result: str, usage: UsageStats, duration_ms: int) -> None:
        """Take the end of a turn."""
        if self.mode is DisplayMode.RESULT:
            self._show(result)
        cost = f"${usage.cost_usd:.4f}" if usage.cost_usd else ""
        tokens = f"{usage.input_tokens}in/{usage.output_tokens}out"
        facts = {"duration": f"{duration_ms}ms", "tokens": tokens, "cost": cost}
        self._say("Metadata", _facts(facts))

    def _say(self, kind: str, text: str) -> None:
        if self.mode is DisplayMode.FULL:
            self._show(f"[{kind}] {text}")
        elif self.mode is DisplayMode.SHORT:
            self._show(f"[{kind}] {one_line(text, _SHORT)}")

    def _show(self, text: str) -> None:
        # Without handlers of its own, caw-core shows what the agent did; a provider that was
        # written for the wrapper calls these, too.
        if self._is_derived and sys.stderr is not None:
            sys.stderr.write(f"{plain(text)}\n")

    # --------------------------------------------------------------- what caw-core calls

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        """Show that a turn begins."""
        if not self._is_derived:
            super().begin(session, turn)
            return
        if turn.index == 0:
            facts = {"agent": session.provider, "model": session.model}
            self.on_metadata(**facts, session=session.session_id)
        self._handled[session.session_id, turn.index] = (WholeTools(), WholeTexts())
        self.on_user_message(turn.input)

    def show(self, session: SessionInfo, turn: int, event: Event) -> None:
        """Show what happened."""
        handled = self._handled.get((session.session_id, turn))
        if handled is None:
            super().show(session, turn, event)
            return
        tools, texts = handled
        for each in tools.feed(event):
            for whole in texts.feed(each):
                self._handle(whole)

    def end(self, session: SessionInfo, turn: Turn) -> None:
        """Show how a turn ended."""
        handled = self._handled.pop((session.session_id, turn.index), None)
        if handled is None:
            super().end(session, turn)
            return
        for whole in handled[1].rest():
            self._handle(whole)
        if turn.index == 0 and turn.model and not session.model:
            self.on_metadata(model=turn.model)
        self.on_turn_end(turn.result, usage_of(turn.usage), turn.duration_ms)

    @property
    def _is_derived(self) -> bool:
        cls = type(self)
        return any(getattr(cls, name) is not getattr(Display, name) for name in _HANDLERS)

    def _handle(self, event: Event) -> None:
        match event:
            case events.TextDone():
                self.on_text(TextBlock(event.text))
            case events.ThinkingDone():
                self.on_thinking(ThinkingBlock(event.text))
            case events.ToolStarted():
                self.on_tool_call(ToolUse(event.call_id, event.name, dict(event.arguments)))
            case events.ToolFinished():
                self.on_tool_result(
                    ToolUse(
                        event.call_id,
                        event.name or "",
                        dict(event.arguments or {}),
                        event.output or "",
                        event.is_error,
                    )
                )


def _facts(facts: Mapping[str, str]) -> str:
    return "  ".join(f"{name}={value}" for name, value in facts.items() if value)


def set_global_display(display: Display | None) -> None:
    """Show all sessions that are opened from now on with *display*; None for not at all."""
    choice.set_global_display(display if display is not None else DisplayMode.OFF)


def get_global_display() -> Display | None:
    """Return what shows sessions: what was set, else as ``CAW_LOG`` says.

    Without both, ``short`` where stderr is a terminal, and nothing elsewhere. The wrapper wrote to
    stdout, also into pipes.

    Raises:
        ValueError: ``CAW_LOG`` names no mode.
    """
    found = choice.get_global_display()
    if found is None:
        return unasked_display()
    if isinstance(found, Display):
        return found
    if isinstance(found, CoreDisplay) and found.mode is not DisplayMode.OFF:
        return Display(found.mode)
    return None


def unasked_display() -> Display | None:
    """Return the display for a person at a terminal who has said nothing about it, or None."""
    asked = choice.get_global_display() is not None or os.environ.get(LOG_ENV_VAR, "").strip()
    at_terminal = sys.stderr is not None and sys.stderr.isatty()
    return _short() if at_terminal and not asked else None


@functools.cache
def _short() -> Display:
    return Display()
