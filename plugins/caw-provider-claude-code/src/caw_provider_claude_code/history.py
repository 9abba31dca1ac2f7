"""From the lines of claude's own transcript to turns.

A transcript is a tree: each line names its parent, and what was taken back or tried again stays
as a branch that nothing goes on from (claude 2.1.197, observed). The conversation is the way from
the last line back to the first. Calls of tools that ran side by side may lie beside that way, so
they are found by the answer that they are part of, and results by their call.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from caw_core.events import Steered, TextDone, ThinkingDone, ToolStarted, TurnEnded, UsageReported
from caw_core.fold import TurnFold
from caw_core.json_fields import mapping, objects, text
from caw_provider_claude_code import tools
from caw_provider_claude_code.decoder import SYNTHETIC
from caw_provider_claude_code.plan import Plan
from caw_provider_claude_code.usage import tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caw_core.blocks import JSON
    from caw_core.events import Event
    from caw_core.trajectory import Turn
    from caw_core.usage import UsageStats

Line = dict[str, "JSON"]

_NOT_TYPED: Final = ("<command-", "<local-command-", "<task-notification>", "<bash-")
"""How user lines begin that claude's user interface wrote by itself."""

_INTERRUPTED: Final = "[Request interrupted by user"


def main_line(line: Line) -> bool:
    """Tell whether a line is part of the conversation itself, not of a subagent's."""
    return line.get("isSidechain") is not True and bool(text(line, "uuid"))


def prompt_of(line: Line) -> str | None:
    """Return what the user asked on a line, or None if it is no prompt."""
    if text(line, "type") != "user" or line.get("isMeta") or line.get("isCompactSummary"):
        return None
    blocks = _blocks(line)
    if any(text(block, "type") == "tool_result" for block in blocks):
        return None
    said = "\n".join(words for block in blocks if (words := text(block, "text")))
    if not blocks or said.startswith((*_NOT_TYPED, _INTERRUPTED)):
        return None
    return said


def turns_of(lines: Iterable[Line]) -> tuple[Turn, ...]:
    """Return the conversation's turns."""
    known = [line for line in lines if main_line(line)]
    results = {
        text(block, "tool_use_id"): (block, line)
        for line in known
        for block in _blocks(line)
        if text(block, "type") == "tool_result"
    }
    reader = _Reader(results)
    for line in _way(known):
        reader.read(line)
    return reader.turns()


class _Reader:
    def __init__(self, results: dict[str, tuple[Line, Line]]) -> None:
        self._results = results
        self._done: list[Turn] = []
        self._fold: TurnFold | None = None
        self._usage: dict[str, UsageStats] = {}
        self._model = ""
        self._begun = self._last = ""
        self._blocks = 0
        self._interrupted = False
        self._plan = Plan()

    def read(self, line: Line) -> None:
        prompt = prompt_of(line)
        if prompt is not None:
            self._finish()
            self._begun = text(line, "timestamp")
            self._fold = TurnFold(index=len(self._done), prompt=prompt, started_at=self._begun)
        elif self._fold is not None:
            self._add(line)
        self._last = text(line, "timestamp") or self._last

    def turns(self) -> tuple[Turn, ...]:
        self._finish()
        return tuple(self._done)

    def _add(self, line: Line) -> None:
        match text(line, "type"):
            case "assistant":
                self._answer(mapping(line, "message"))
            case "user" if any(
                text(block, "text").startswith(_INTERRUPTED) for block in _blocks(line)
            ):
                self._interrupted = True
            case "attachment":
                said = mapping(line, "attachment")
                if text(said, "type") == "queued_command" and _said(said):
                    self._put(Steered(text=_said(said)))

    def _answer(self, message: Line) -> None:
        if text(message, "model") == SYNTHETIC:
            return
        self._model = text(message, "model") or self._model
        # Each line of an answer repeats its usage, the last one with the final counts.
        self._usage[text(message, "id")] = tokens_of(mapping(message, "usage"))
        for block in objects(message, "content"):
            self._blocks += 1
            key = str(self._blocks)
            match text(block, "type"):
                case "text":
                    self._put(TextDone(text=text(block, "text"), block_id=key))
                case "thinking":
                    self._put(ThinkingDone(text=text(block, "thinking"), block_id=key))
                case "tool_use":
                    self._call(block)

    def _call(self, block: Line) -> None:
        call_id, name, arguments = text(block, "id"), text(block, "name"), mapping(block, "input")
        self._put(ToolStarted(call_id=call_id, name=tools.tool_name(name), arguments=arguments))
        result, line = self._results.get(call_id, ({}, {}))
        if not result:
            return
        structured = line.get("toolUseResult")
        self._put(tools.finished(result, structured, arguments=arguments, declined=False))
        if result.get("is_error") is not True:
            plan = self._plan.after(name, arguments, structured)
            if plan is not None:
                self._put(plan)

    def _put(self, event: Event) -> None:
        if self._fold is not None:
            self._fold.add(event)

    def _finish(self) -> None:
        fold, self._fold = self._fold, None
        if fold is None:
            return
        for usage in self._usage.values():
            fold.add(UsageReported(usage=usage, model=self._model))
        if self._interrupted:
            fold.add(TurnEnded(stop_reason="cancelled", status="interrupted"))
        else:
            fold.add(TurnEnded(stop_reason="end_turn", status="completed"))
        self._done.append(fold.turn(duration_ms=_milliseconds(self._begun, self._last)))
        self._usage, self._model, self._interrupted = {}, "", False


def _way(lines: list[Line]) -> list[Line]:
    by_id = {text(line, "uuid"): line for line in lines}
    children = {_parent(line): line for line in lines}
    line = lines[-1] if lines else None
    # Its own interface may write an answer above the prompt (2.1.197, observed).
    while line is not None and (after := children.pop(text(line, "uuid"), None)) is not None:
        line = after
    way: list[Line] = []
    # Taken out, so that a file in which lines go in a circle comes to an end.
    while line is not None and by_id.pop(text(line, "uuid"), None) is not None:
        way.append(line)
        line = by_id.get(_parent(line))
    # The calls of one answer are a line each, of which only one may lie on the way.
    answers: dict[str, list[Line]] = {}
    for line in lines:
        answers.setdefault(_answer_id(line), []).append(line)
    whole: list[Line] = []
    for line in reversed(way):
        answer = _answer_id(line)
        whole += answers.pop(answer, []) if answer else [line]
    return whole


def _parent(line: Line) -> str:
    # Where the history was summarised, the parent is named under another word.
    return text(line, "parentUuid") or text(line, "logicalParentUuid")


def _answer_id(line: Line) -> str:
    return text(mapping(line, "message"), "id") if text(line, "type") == "assistant" else ""


def _blocks(line: Line) -> list[Line]:
    message = mapping(line, "message")
    content = message.get("content")
    return (
        [{"type": "text", "text": content}]
        if isinstance(content, str)
        else objects(message, "content")
    )


def _said(attachment: Line) -> str:
    prompt = attachment.get("prompt")
    if isinstance(prompt, str):
        return prompt
    return "\n".join(
        words for block in objects(attachment, "prompt") if (words := text(block, "text"))
    )


def _milliseconds(begin: str, end: str) -> int:
    try:
        passed = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    except ValueError:
        return 0
    return max(0, round(passed.total_seconds() * 1000))
