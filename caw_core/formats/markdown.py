"""Records as Markdown, for people and for pull requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from caw_core.blocks import ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import Block
    from caw_core.trajectory import Trajectory, Turn

_FENCES = re.compile(r"^[ ]{0,3}(`{3,})", re.MULTILINE)


def to_markdown(trajectory: Trajectory) -> str:
    """Return a record as Markdown; images are named, not shown."""
    return "\n\n".join(_pieces(trajectory)) + "\n"


def title_of_record(trajectory: Trajectory) -> str:
    """Return a heading for a record: the agent, and the session's id."""
    return f"{trajectory.provider}: session {trajectory.session_id}"


def facts_of(trajectory: Trajectory) -> list[tuple[str, str]]:
    """Return what the head of a record tells, name and value."""
    usage = trajectory.total_usage
    cost = f", ${usage.cost_usd:.4f}" if usage.cost_usd is not None else ""
    facts = [
        ("model", " ".join(filter(None, (trajectory.model, trajectory.reasoning)))),
        ("folder", trajectory.cwd),
        ("created", trajectory.created_at),
        ("ended", trajectory.completed_at),
        ("tags", ", ".join(trajectory.tags)),
        ("used", f"{usage.total_tokens:,} tokens{cost}" if usage else ""),
    ]
    return [(name, value) for name, value in facts if value]


def heading_of(turn: Turn) -> str:
    """Return a turn's heading: its number, how it ended and how long it took."""
    ended: str = turn.status
    if turn.stop_reason not in {None, "end_turn"}:
        ended += f", {turn.stop_reason}"
    return f"Turn {turn.index}: {ended}, {turn.duration_ms / 1000:.1f} s"


def _pieces(trajectory: Trajectory) -> Iterator[str]:
    yield f"# {title_of_record(trajectory)}"
    facts = facts_of(trajectory)
    if facts:
        yield "\n".join(f"- {name}: {value}" for name, value in facts)
    if trajectory.system_prompt:
        yield "**System prompt**\n\n" + _fenced(trajectory.system_prompt)
    for turn in trajectory.turns:
        yield f"## {heading_of(turn)}"
        yield _quoted(turn.input)
        yield from (_block(block) for block in turn.output)
        if turn.error is not None:
            yield f"**{turn.error.type}**: {turn.error.message}"


def _block(block: Block) -> str:
    match block:
        case TextBlock():
            return block.text
        case ThinkingBlock():
            return f"<details><summary>Thinking</summary>\n\n{block.text}\n\n</details>"
        case ToolUse():
            return _tool(block)
        case SteerBlock():
            return _quoted(block.text)
        case ImageBlock():
            return f"*Image, {block.mime_type}* {block.uri}".rstrip()
        case _:
            return f"*A block of kind {block.type!r}*"


def _tool(use: ToolUse) -> str:
    arguments = json.dumps(dict(use.arguments), indent=2, ensure_ascii=False)
    ended = "" if use.status == "completed" else f" ({use.status})"
    pieces = [f"**Tool** `{use.name}`{ended}", _fenced(arguments, "json")]
    if use.output:
        pieces.append(_fenced(use.output))
    if use.subagent_trajectory is not None:
        pieces.append(_quoted("\n\n".join(_pieces(use.subagent_trajectory))))
    return "\n\n".join(pieces)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines() or [""])


def _fenced(text: str, language: str = "") -> str:
    # Longer than any fence inside, so that a tool's output cannot end it.
    longest = max((len(found) for found in _FENCES.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
