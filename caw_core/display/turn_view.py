"""One running turn as a display shows it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from caw_core import events as ev
from caw_core.display.event_words import ProgressSteps, notes_of, turn_words, usage_words
from caw_core.display.outlet import Moving
from caw_core.display.plain import one_line, plain
from caw_core.display.text_flow import TextFlow
from caw_core.display.tool_words import call_words
from caw_core.usage import UsageTally
from caw_core.whole_events import WholeTools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from caw_core.display.outlet import Outlet
    from caw_core.trajectory import SessionInfo, Turn

_TEXT: Final = "text"
_THINKING: Final = "thinking"
_STYLES: Final = {_TEXT: "", _THINKING: "dim italic"}
_ALWAYS_TOLD: Final = (ev.PermissionAsked, ev.Retrying, ev.Steered)
_LONGEST_LINE: Final = 4000
"""How many characters wait for the end of their line at most."""


class TurnView:
    """Shows one turn in the mode ``full``, ``short`` or ``result``.

    Args:
        mode: which of them.
        outlet: where it shows it.
        provider: the session's.
        name: a few words by which a person tells the session.
    """

    def __init__(self, mode: str, outlet: Outlet, provider: str, name: str) -> None:
        self._mode = mode
        self._full = mode == "full"
        self._silent = mode == "result"
        self._outlet = outlet
        self._provider = provider
        self._name = name
        self._since = time.monotonic()
        self._what = f"{provider} works"
        self._usage = UsageTally()
        self._tools = WholeTools()
        self._flow = TextFlow()
        self._kind = _TEXT
        self._line = ""
        self._steps = ProgressSteps()
        self._subagents: dict[str, TurnView] = {}
        self._questions: set[str] = set()
        self._move()

    # ------------------------------------------------------------------------------- its edges

    def begin(self, session: SessionInfo, turn: Turn) -> None:
        """Show what the turn begins with."""
        if self._silent:
            return
        if self._full:
            facts = [f"turn {turn.index}", f"{session.provider} {session.model}".strip()]
            self._write(" · ".join([*facts, session.session_id, session.cwd]), "dim")
        if turn.origin == "agent":
            cause = turn.input if self._full else one_line(turn.input, self._width)
            self._write(f"(begun by the agent: {cause or '?'})", "dim")
        elif self._full:
            self._write("\n".join(f"> {line}" for line in turn.input.split("\n")), "bold")
        else:
            self._write(f"> {one_line(turn.input, self._width)}", "bold")
        for item in turn.attachments:
            self._write(f"> + {item.get('name', '')} ({item.get('mime_type', '')})", "bold")

    def end(self, turn: Turn) -> None:
        """Show how the turn ended, and let nothing of it move any more."""
        for subagent in self._subagents.values():
            subagent.stop()
        self._end_line()
        if not self._silent:
            self._give_tools_up()
        elif turn.result:
            self._write(turn.result)
        if not self._silent or turn.status != "completed":
            facts = [f"turn {turn.index} {turn.status}"]
            if turn.stop_reason not in {None, "end_turn"}:
                facts.append(str(turn.stop_reason))
            ended_well = turn.status == "completed"
            self._write(
                " · ".join([*facts, *turn_words(self._provider, turn)]),
                "dim" if ended_well else "yellow",
            )
        if turn.error is not None:
            self._write(f"{turn.error.type}: {turn.error.message}", "red")
        self._outlet.move(self, None)

    def stop(self) -> None:
        """Show what is left of a subagent's turn, which is told without its end; idempotent."""
        self._end_line()
        self._give_tools_up()
        self._outlet.move(self, None)

    def _give_tools_up(self) -> None:
        for tool in self._tools.running:
            words = call_words(tool.name, tool.arguments, self._width)
            self._note(f"• {words} · no result", "yellow")

    # ------------------------------------------------------------------------------ what happens

    def show(self, event: ev.Event) -> None:
        """Show what happened."""
        if not isinstance(event, ev.ThinkingDelta | ev.ThinkingDone) or self._full:
            for whole in self._tools.feed(event):
                self._show(whole)
        self._what = self._doing(event)
        self._note_question(event)
        self._move()

    def _show(self, event: ev.Event) -> None:  # noqa: C901, PLR0912 - a flat table
        match event:
            case ev.UsageReported():
                self._usage.add(event.usage, cost_follows=event.cost_follows)
                if self._full:
                    words = [event.model, *usage_words(event.usage)]
                    self._note(f"used {' · '.join(filter(None, words))}", "dim")
            case _ if self._silent:
                pass
            case ev.TextDelta():
                self._grow(_TEXT, *self._flow.delta((_TEXT, event.block_id), event.text))
            case ev.TextDone():
                self._grow(_TEXT, *self._flow.done((_TEXT, event.block_id), event.text))
                self._end_line()
            case ev.ThinkingDelta():
                self._grow(_THINKING, *self._flow.delta((_THINKING, event.block_id), event.text))
            case ev.ThinkingDone():
                self._grow(_THINKING, *self._flow.done((_THINKING, event.block_id), event.text))
                self._end_line()
            case ev.ToolStarted():
                self._tool_began(event)
            case ev.ToolFinished():
                self._tool_ended(event)
            case ev.Progress():
                step = self._steps.words(event)
                if step:
                    self._note(step, "dim")
            case ev.SubagentEvent():
                self._show_subagent(event)
            case _:
                self._tell(event)

    def _show_subagent(self, event: ev.SubagentEvent) -> None:
        view = self._subagents.get(event.session_id)
        if view is None:
            view = TurnView(self._mode, self._outlet, self._provider, f"{self._name}/{event.name}")
            self._subagents[event.session_id] = view
        if isinstance(event.event, ev.TurnEnded):
            del self._subagents[event.session_id]
            view.stop()
        else:
            view.show(event.event)

    def _tell(self, event: ev.Event) -> None:
        if isinstance(event, ev.ProviderChanged):
            self._provider = event.to_provider
        for note in notes_of(event, self._width):
            if self._full or note.warns or isinstance(event, _ALWAYS_TOLD):
                self._note(note.text, note.style)
        if self._full and isinstance(event, ev.FileChanged) and event.diff:
            self._note(_indented(event.diff), "dim")
        if isinstance(event, ev.ImageDone | ev.Steered):
            self._flow.part()

    def _tool_began(self, event: ev.ToolStarted) -> None:
        self._end_line()
        self._flow.part()
        if self._full:
            self._write(f"• {event.name}", "cyan")
            arguments = _arguments(event.arguments)
            if arguments:
                self._write(_indented(arguments), "cyan")

    def _tool_ended(self, event: ev.ToolFinished) -> None:
        self._end_line()
        self._flow.part()
        failed = event.is_error or event.status in {"failed", "declined"}
        style = "red" if failed else "dim"
        output = (event.output or "").rstrip("\n")
        seconds = f"{(event.duration_ms or 0) / 1000:.1f} s"
        outcome: str = event.status or ("failed" if failed else "completed")
        if self._full:
            if output:
                self._write(_indented(output), style)
            others = f"{event.name}: " if self._tools.running else ""
            self._write(f"  {others}{outcome} · {seconds}", style)
            return
        words = call_words(event.name or "", event.arguments or {}, self._width)
        facts = [outcome] if failed else []
        facts.append(seconds)
        if output:
            lines = output.count("\n") + 1
            facts.append(one_line(output, 80) if failed or lines == 1 else f"{lines} lines")
        self._write(f"• {words} · {' · '.join(facts)}", "red" if failed else "cyan")

    # ----------------------------------------------------------------------------------- its text

    def _grow(self, kind: str, begins: bool, text: str) -> None:  # noqa: FBT001 - as TextFlow has it
        if begins:
            self._end_line()
            if kind == _THINKING:
                text = f"thinking: {text}"
        self._kind = kind
        *lines, self._line = (self._line + plain(text)).split("\n")
        if lines:
            self._write("\n".join(lines), _STYLES[kind])
        if len(self._line) > _LONGEST_LINE:
            end = self._line.rfind(" ", _LONGEST_LINE // 2) + 1 or len(self._line)
            self._write(self._line[:end], _STYLES[kind])
            self._line = self._line[end:]

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        if line:
            self._write(line, _STYLES[self._kind])

    def _note(self, text: str, style: str) -> None:
        self._end_line()
        self._flow.pause()
        self._write(text, style)

    def _write(self, text: str, style: str = "") -> None:
        self._outlet.write(self._label, text, style)

    @property
    def _label(self) -> str:
        return f"{self._provider} {self._name}"

    # -------------------------------------------------------------------------------- what moves

    @property
    def _width(self) -> int:
        return self._outlet.width

    def _doing(self, event: ev.Event) -> str:
        match event:
            case ev.Waiting():
                return "waiting for the limit to end"
            case ev.ThinkingDelta():
                return f"{self._provider} thinks"
            case ev.Progress():
                far = f" {100 * event.done / event.total:.0f} %" if event.total else ""
                return f"{one_line(event.label, 40)}{far}"
            case ev.UsageReported():
                return self._what
        return f"{self._provider} works"

    def _note_question(self, event: ev.Event) -> None:
        if isinstance(event, ev.PermissionAsked):
            self._questions.add(event.request_id)
        elif isinstance(event, ev.PermissionSettled):
            self._questions.discard(event.request_id)

    def _move(self) -> None:
        if self._questions:
            # It may be put to a person on this very terminal, who types the answer there.
            self._outlet.move(self, None)
            return
        self._outlet.move(
            self,
            Moving(
                label=self._label,
                what=self._what,
                since=self._since,
                usage=self._usage.total,
                line=self._line,
                style=_STYLES[self._kind],
                tools=() if self._silent else tuple(self._tool_lines()),
            ),
        )

    def _tool_lines(self) -> Iterator[tuple[str, float]]:
        for tool in self._tools.running:
            if tool.told:
                yield call_words(tool.name, tool.arguments, self._width), tool.since


def _arguments(arguments: Mapping[str, Any]) -> str:
    values = list(arguments.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return json.dumps(dict(arguments), ensure_ascii=False, indent=2) if values else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip("\n").split("\n"))
