"""A record as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from caw_core.blocks import ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.display.event_words import usage_words
from caw_core.display.plain import local_time, one_line, plain
from caw_core.display.tool_words import call_words, output_words

if TYPE_CHECKING:
    from caw_core.blocks import Block
    from caw_core.trajectory import Trajectory, Turn

_TITLE = 200


class TrajectoryScreen:
    """Prints records on stdout, plain where that is no terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._width = (self._console.width if self._console.is_terminal else _TITLE) - 4

    def show(self, trajectory: Trajectory) -> None:
        """Print the head and all turns."""
        who = " ".join(filter(None, (trajectory.provider, trajectory.model, trajectory.reasoning)))
        facts = [
            ("session", trajectory.session_id),
            ("agent", who),
            ("folder", trajectory.cwd),
            ("created", local_time(trajectory.created_at)),
            ("ended", local_time(trajectory.completed_at)),
            ("system", one_line(trajectory.system_prompt, self._width - 10)),
            ("used", " · ".join(usage_words(trajectory.total_usage))),
        ]
        for name, value in facts:
            if value:
                self._line(f"{name:8} {value}", "dim")
        for turn in trajectory.turns:
            self.show_turn(turn)

    def show_turn(self, turn: Turn) -> None:
        """Print one turn: its prompt, what the agent did, and how it ended."""
        facts = [f"turn {turn.index}", turn.status, f"{turn.duration_ms / 1000:.1f} s"]
        if turn.stop_reason not in {None, "end_turn"}:
            facts.insert(2, str(turn.stop_reason))
        self._line()
        self._line(" · ".join([*facts, *usage_words(turn.total_usage)]), "dim")
        if turn.origin == "agent":
            self._line(f"(begun by the agent: {one_line(turn.input, self._width) or '?'})", "dim")
        else:
            for line in turn.input.splitlines() or [""]:
                self._line(f"> {line}", "bold")
        for block in turn.output:
            self._block(block)
        if turn.error is not None:
            self._line(f"{turn.error.type}: {turn.error.message}", "red")

    def _block(self, block: Block) -> None:
        match block:
            case TextBlock():
                self._line(block.text)
            case ThinkingBlock():
                self._line(block.text, "dim italic")
            case ToolUse():
                self._line(f"• {call_words(block.name, block.arguments, self._width)}", "cyan")
                for line in output_words(block.output, self._width):
                    self._line(f"  {line}", "red" if block.is_error else "dim")
                if block.status != "completed":
                    self._line(f"  ({block.status})", "red")
            case SteerBlock():
                for line in block.text.splitlines():
                    self._line(f"> {line}", "bold")
            case ImageBlock():
                self._line(f"• image {block.mime_type} {one_line(block.uri, _TITLE)}", "cyan")
            case _:
                self._line(f"• {block.type}, which this caw does not know", "dim")

    def _line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(plain(text), style=style), soft_wrap=True)
