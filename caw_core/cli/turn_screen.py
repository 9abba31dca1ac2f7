"""Turns for people: the answer on stdout, everything around it on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from caw_core import events as ev
from caw_core.cli.activity import Activity
from caw_core.display.event_words import notes_of, turn_words
from caw_core.display.plain import plain
from caw_core.display.text_flow import TextFlow
from caw_core.display.tool_words import call_words, output_words

if TYPE_CHECKING:
    from caw_core.session import Session
    from caw_core.trajectory import Turn

_TEXT = "text"
_THINKING = "thinking"


class TurnScreen:
    """Shows turns as they happen.

    Args:
        stream: show text as it comes; otherwise the agent's last words at the end.
        quiet: on stderr only warnings.
        asks: a person is asked for permission, so the screen does not tell of requests too.
    """

    def __init__(self, *, stream: bool, quiet: bool, asks: bool = False) -> None:
        self._asks = asks
        self._stream = stream
        self._quiet = quiet
        self._err = Console(stderr=True, highlight=False)
        self._live = self._err.is_terminal and not self._err.is_dumb_terminal
        self._width = (self._err.width if self._live else 200) - 4
        self._out_is_terminal = sys.stdout.isatty()
        # Where the cursor is matters only where both streams share a screen.
        self._shared = self._out_is_terminal and self._err.is_terminal
        self._activity = Activity(self._err, live=self._live and not quiet)
        self._provider = ""
        self._reset()

    def _reset(self) -> None:
        self._flow = TextFlow()
        self._thought: list[str] = []
        self._wrote = False
        self._out_unfinished = False
        self._err_unfinished = False

    # ------------------------------------------------------------------------------ the turn

    def say(self, message: str) -> None:
        """Tell something in a line of its own."""
        if not self._quiet:
            self._note(message, "dim")

    def warn(self, message: str) -> None:
        """Tell something that also somebody wants to know who wants it quiet."""
        self._note(message, "yellow")

    def begin(self, provider: str) -> None:
        """Show that the agent works."""
        self._reset()
        self._provider = provider
        self._activity.wait(f"{provider} works")

    def show(self, event: ev.Event) -> None:
        """Show what happened."""
        if not isinstance(event, ev.ThinkingDelta):
            self._finish_thought()
        match event:
            case ev.TextDelta():
                self._write(_TEXT, *self._flow.delta((_TEXT, event.block_id), event.text))
            case ev.TextDone():
                self._write(_TEXT, *self._flow.done((_TEXT, event.block_id), event.text))
            case ev.ThinkingDelta() if not self._quiet:
                self._write(_THINKING, *self._flow.delta((_THINKING, event.block_id), event.text))
            case ev.ThinkingDone() if not self._quiet:
                self._write(_THINKING, *self._flow.done((_THINKING, event.block_id), event.text))
                self._finish_thought()
            case ev.PermissionAsked() if self._asks:
                self._make_room()
            case ev.Progress() if not self._quiet:
                self._end_line()
                self._activity.advance(event)
            case ev.ToolStarted() | ev.ToolFinished():
                self._flow.part()
                if not self._quiet:
                    self._show_tool(event)
            case _:
                self._tell(event)

    def end(self, session: Session, turn: Turn) -> None:
        """Finish the answer, and say what it cost and how to go on."""
        if not self._stream and turn.result:
            self._write_text(turn.result)
        self.close()
        if turn.stop_reason not in {None, "end_turn"}:
            self._note(f"the agent stopped early: {turn.stop_reason}", "yellow")
        self.say(" · ".join(turn_words(session.provider, turn)))

    def fail(self, error: BaseException, session: Session | None, turn: Turn | None) -> None:
        """Finish what is on the screen; the error comes below it."""
        del session, turn
        if isinstance(error, BrokenPipeError):
            self._out_unfinished = False
        self.close()
        if isinstance(error, KeyboardInterrupt):
            self._note("interrupted", "yellow")

    def close(self) -> None:
        """End unfinished lines and take away what moves."""
        self._finish_thought()
        self._activity.clear()
        self._end_line()
        if self._out_unfinished:
            self._out("\n")

    # ---------------------------------------------------------------------------- its pieces

    def _show_tool(self, event: ev.ToolStarted | ev.ToolFinished) -> None:
        if isinstance(event, ev.ToolStarted):
            self._note(f"• {call_words(event.name, event.arguments, self._width)}", "cyan")
            self._activity.wait(f"{event.name} runs")
            return
        failed = event.is_error or event.status in {"failed", "declined"}
        for line in output_words(event.output or "", self._width):
            self._note(f"  {line}", "red" if failed else "dim")
        if failed:
            self._note(f"  ({event.status or 'failed'})", "red")
        self._activity.wait(f"{self._provider} works")

    def _tell(self, event: ev.Event) -> None:
        for note in notes_of(event, self._width):
            if note.warns or not self._quiet:
                self._note(note.text, note.style)
        if isinstance(event, ev.ImageDone | ev.Steered):
            self._flow.part()
        elif isinstance(event, ev.Waiting):
            self._activity.wait("waiting for the limit to end")
        elif isinstance(event, ev.PermissionSettled | ev.Retrying):
            self._activity.wait(f"{self._provider} works")

    def _write(self, kind: str, begins: bool, text: str) -> None:  # noqa: FBT001 - as TextFlow has it
        if begins:
            self._begin_block(kind)
        if not text:
            return
        if kind == _TEXT:
            if self._stream:
                self._write_text(text)
        elif self._live:
            self._activity.clear()
            self._err.print(Text(plain(text), style="dim italic"), end="", soft_wrap=True)
            self._err_unfinished = not text.endswith("\n")
        else:
            self._thought.append(text)

    def _begin_block(self, kind: str) -> None:
        self._finish_thought()
        self._end_line()
        if kind == _TEXT and self._stream:
            if self._out_unfinished:
                self._out("\n")
            if self._wrote:
                self._out("\n")

    def _finish_thought(self) -> None:
        thought, self._thought = "".join(self._thought).strip(), []
        if thought:
            self._note(f"thinking: {thought}", "dim")

    def _write_text(self, text: str) -> None:
        self._activity.clear()
        self._wrote = True
        self._out(plain(text) if self._out_is_terminal else text)

    def _out(self, text: str) -> None:
        self._out_unfinished = not text.endswith("\n")
        sys.stdout.write(text)
        sys.stdout.flush()

    def _end_line(self) -> None:
        if self._err_unfinished:
            self._err.print()
            self._err_unfinished = False

    def _make_room(self) -> None:
        self._activity.clear()
        self._end_line()
        if self._shared and self._out_unfinished:
            self._out("\n")
        self._flow.pause()

    def _note(self, message: str, style: str) -> None:
        self._make_room()
        self._err.print(Text(plain(message), style=style), soft_wrap=True)
