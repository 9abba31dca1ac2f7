"""Turns for people: the answer on stdout, everything around it on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from caw_core import events as ev
from caw_core.cli.activity import Activity
from caw_core.cli.plain import local_time, one_line, plain
from caw_core.cli.tool_words import call_words, output_words

if TYPE_CHECKING:
    from caw_core.session import Session
    from caw_core.trajectory import Turn
    from caw_core.usage import UsageStats

_Key = tuple[str, str]
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
        self._open: _Key | None = None
        self._said: dict[_Key, str] = {}
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

    def show(self, event: ev.Event) -> None:  # noqa: C901 - a flat table
        """Show what happened."""
        if not isinstance(event, ev.ThinkingDelta):
            self._finish_thought()
        match event:
            case ev.TextDelta():
                self._delta((_TEXT, event.block_id), event.text)
            case ev.TextDone():
                self._done((_TEXT, event.block_id), event.text)
            case ev.ThinkingDelta() if not self._quiet:
                self._delta((_THINKING, event.block_id), event.text)
            case ev.ThinkingDone() if not self._quiet:
                self._done((_THINKING, event.block_id), event.text)
            case ev.Notice(level="warning"):
                self._note(event.message, "yellow")
            case ev.Waiting():
                self._note(f"waits until {local_time(event.until)}: {event.reason}", "yellow")
                self._activity.wait("waiting for the limit to end")
            case ev.PermissionAsked() if self._asks:
                self._make_room()
            case ev.PermissionSettled():
                self._settled(event)
            case ev.Progress() if not self._quiet:
                self._end_line()
                self._activity.advance(event)
            case _ if not self._quiet:
                self._show_work(event)

    def end(self, session: Session, turn: Turn) -> None:
        """Finish the answer, and say what it cost and how to go on."""
        if not self._stream and turn.result:
            self._write_text(turn.result)
        self.close()
        if turn.stop_reason not in {None, "end_turn"}:
            self._note(f"the agent stopped early: {turn.stop_reason}", "yellow")
        self.say(" · ".join(_summary(session, turn)))

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

    def _show_work(self, event: ev.Event) -> None:  # noqa: C901, PLR0912 - a flat table
        match event:
            case ev.PermissionAsked():
                words = call_words(event.tool, event.arguments, self._width)
                self._note(f"• asks for {words}", "cyan")
            case ev.Steered():
                for line in event.text.splitlines():
                    self._note(f"> {line}", "bold")
            case ev.ToolStarted():
                self._note(f"• {call_words(event.name, event.arguments, self._width)}", "cyan")
                self._activity.wait(f"{event.name} runs")
            case ev.ToolFinished():
                failed = event.is_error or event.status in {"failed", "declined"}
                for line in output_words(event.output or "", self._width):
                    self._note(f"  {line}", "red" if failed else "dim")
                if failed:
                    self._note(f"  ({event.status or 'failed'})", "red")
                self._activity.wait(f"{self._provider} works")
            case ev.FileChanged():
                self._note(f"• {event.kind} {one_line(event.path, self._width)}", "cyan")
            case ev.PlanUpdated():
                for entry in event.entries:
                    mark = {"completed": "x", "in_progress": "~"}.get(entry.status, " ")
                    self._note(f"  [{mark}] {one_line(entry.text, self._width)}", "dim")
            case ev.Retrying():
                self._note(_retry_words(event), "yellow")
                self._activity.wait(f"{self._provider} works")
            case ev.Notice():
                self._note(event.message, "dim")
            case ev.ImageDone():
                self._note(f"• image {event.mime_type} {one_line(event.uri, 200)}", "cyan")

    def _settled(self, event: ev.PermissionSettled) -> None:
        if not event.allowed:
            self._note(f"  not permitted{event.reason and f': {event.reason}'}", "yellow")
        elif not self._quiet:
            self._note("  permitted" + (" for the whole session" if event.always else ""), "dim")
        self._activity.wait(f"{self._provider} works")

    def _delta(self, key: _Key, text: str) -> None:
        if key != self._open:
            self._begin_block(key)
        self._said[key] = self._said.get(key, "") + text
        self._write(key, text)

    def _done(self, key: _Key, text: str) -> None:
        said = self._said.pop(key, "")
        rest = text.removeprefix(said) if text.startswith(said) else text
        # The whole text is the truth: where it is not what the deltas said, it is shown again.
        if rest and (key != self._open or not text.startswith(said)):
            self._begin_block(key)
        self._write(key, rest)
        self._open = None
        if key[0] == _THINKING:
            self._finish_thought()

    def _begin_block(self, key: _Key) -> None:
        self._finish_thought()
        self._end_line()
        if key[0] == _TEXT and self._stream:
            if self._out_unfinished:
                self._out("\n")
            if self._wrote:
                self._out("\n")
        self._said.pop(key, None)
        self._open = key

    def _write(self, key: _Key, text: str) -> None:
        if not text:
            return
        if key[0] == _TEXT:
            if self._stream:
                self._write_text(text)
        elif self._live:
            self._activity.clear()
            self._err.print(Text(plain(text), style="dim italic"), end="", soft_wrap=True)
            self._err_unfinished = not text.endswith("\n")
        else:
            self._thought.append(text)

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
        self._open = None

    def _note(self, message: str, style: str) -> None:
        self._make_room()
        self._err.print(Text(plain(message), style=style), soft_wrap=True)


def _retry_words(event: ev.Retrying) -> str:
    count = f" ({event.attempt}/{event.max_attempts})" if event.max_attempts else ""
    wait = f" in {event.wait_seconds:g} s" if event.wait_seconds is not None else ""
    return f"the agent tries again{count}{wait}: {event.reason}"


def _summary(session: Session, turn: Turn) -> list[str]:
    model = "" if turn.model == session.provider else turn.model
    parts = [f"{session.provider} {model}".strip(), f"{turn.duration_ms / 1000:.1f} s"]
    parts += usage_words(turn.usage)
    return parts


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
