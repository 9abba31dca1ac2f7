"""Records in the Agent Trajectory Interchange Format, ATIF 1.8, and back.

The format is that of the distribution ``harbor``, module ``harbor.models.trajectories``
(https://harborframework.com/docs/trajectory-format). What a record holds and the format has no
place for stands in the members called ``extra``, under ``caw``, so that a record comes back as it
was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.blocks import Block, ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.errors import ConfigError
from caw_core.serialize import (
    block_to_dict,
    session_info_to_dict,
    turn_to_dict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.trajectory import Trajectory, Turn
    from caw_core.usage import UsageStats

VERSION: Final = "ATIF-v1.8"

OURS: Final = "caw"
"""The member of ``extra`` that holds what only caw knows."""

IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""The kinds of images that the format knows."""

_Document = dict[str, Any]
_RANK: Final[dict[type[Block], int]] = {ThinkingBlock: 0, TextBlock: 1, ToolUse: 2}
_IN_STEPS = frozenset({"input", "output"})


@attrs.frozen(kw_only=True)
class AtifExport:
    """A record as an ATIF document.

    Attributes:
        document: JSON-ready.
        left_out: what of the record is not in it, a sentence each.
        extra_only: what stands only in ``extra``, where other programs will not look for it.
    """

    document: _Document
    left_out: tuple[str, ...] = ()
    extra_only: tuple[str, ...] = ()


def to_atif(trajectory: Trajectory) -> AtifExport:
    """Return a record as an ATIF document.

    The key that resumes the session is a secret and is left out.

    Raises:
        ConfigError: it has neither a turn nor a system prompt, and a document needs a step.
    """
    writer = _Writer()
    if trajectory.system_prompt:
        writer.step(source="system", message=trajectory.system_prompt)
    for turn in trajectory.turns:
        writer.turn(turn)
    if not writer.steps:
        msg = f"session {trajectory.session_id!r} has no turn yet, so there is nothing to export"
        raise ConfigError(msg)
    head = session_info_to_dict(trajectory)
    left_out = ["the resume key, which is a secret"] if head.pop("resume_key", None) else []
    if any(turn.raw_output for turn in trajectory.turns):
        left_out.append("the agent's raw output")
    document: _Document = {
        "schema_version": VERSION,
        "session_id": trajectory.session_id,
        "trajectory_id": trajectory.session_id,
        "agent": {
            "name": trajectory.provider,
            "version": "unknown",
            **({"model_name": trajectory.model} if trajectory.model else {}),
        },
        "steps": writer.steps,
        "final_metrics": {
            **_totals(trajectory.usage),
            "total_steps": len(writer.steps),
        },
        "extra": {OURS: head},
        **({"subagent_trajectories": writer.subagents} if writer.subagents else {}),
    }
    return AtifExport(
        document=document, left_out=tuple(left_out), extra_only=tuple(writer.extra_only)
    )


class _Writer:
    """Collects the steps of a document."""

    def __init__(self) -> None:
        self.steps: list[_Document] = []
        self.subagents: list[_Document] = []
        self.extra_only: list[str] = []

    def step(self, *, ours: Mapping[str, Any] | None = None, **members: Any) -> _Document:
        step = {"step_id": len(self.steps) + 1, **members}
        if ours:
            step["extra"] = {OURS: dict(ours)}
        self.steps.append(step)
        return step

    def turn(self, turn: Turn) -> None:
        document = turn_to_dict(turn)
        rest = {key: value for key, value in document.items() if key not in _IN_STEPS}
        source = "user" if turn.origin == "user" else "system"
        stamp = {"timestamp": turn.started_at} if turn.started_at else {}
        self.step(source=source, message=turn.input, ours={"turn": rest}, **stamp)
        last: _Document | None = None
        for blocks in _steps_of(turn.output):
            last = self._blocks(turn, blocks) or last
        if turn.usage:
            if last is None:
                last = self.step(source="agent", message="", ours={"empty": True})
            last["metrics"] = _metrics(turn.usage)

    def _blocks(self, turn: Turn, blocks: list[Block]) -> _Document | None:
        first = blocks[0]
        if isinstance(first, SteerBlock):
            self.step(source="user", message=first.text, ours={"steer": dict(first.extra)})
            return None
        step = self.step(source="agent", message="")
        if turn.model:
            step["model_name"] = turn.model
        ours: _Document = {}
        for block in blocks:
            match block:
                case ThinkingBlock() if block.text:
                    step["reasoning_content"] = block.text
                    ours["thinking"] = dict(block.extra)
                case TextBlock() if block.text:
                    step["message"] = block.text
                    ours["text"] = dict(block.extra)
                case ToolUse():
                    self._tool(step, block)
                case ImageBlock() if block.mime_type in IMAGE_TYPES:
                    step["message"] = [_image(block)]
                    told = "data" if block.data else "uri"
                    document = block_to_dict(block)
                    ours["block"] = {key: document[key] for key in document if key != told}
                case _:
                    ours["block"] = block_to_dict(block)
                    self.extra_only.append(f"turn {turn.index}: a block of kind {block.type!r}")
        if ours:
            step["extra"] = {OURS: ours}
        return step

    def _tool(self, step: _Document, use: ToolUse) -> None:
        document = block_to_dict(use)
        known = {"type", "id", "name", "arguments", "output"}
        rest = {key: value for key, value in document.items() if key not in known}
        nested = use.subagent_trajectory
        # A document needs a step.
        if nested is not None and (nested.turns or nested.system_prompt):
            del rest["subagent_trajectory"]
        else:
            nested = None
        call = {"tool_call_id": use.id, "function_name": use.name, "arguments": dict(use.arguments)}
        if rest:
            call["extra"] = {OURS: rest}
        step.setdefault("tool_calls", []).append(call)
        if use.status == "running" and not use.output and nested is None:
            return
        result: _Document = {"source_call_id": use.id, "content": use.output}
        if nested is not None:
            result["subagent_trajectory_ref"] = [self._subagent(nested)]
        step.setdefault("observation", {"results": []})["results"].append(result)

    def _subagent(self, trajectory: Trajectory) -> _Document:
        export = to_atif(trajectory)
        embedded = export.document
        embedded["trajectory_id"] = f"{embedded['trajectory_id']}-{len(self.subagents) + 1}"
        # An embedded one may embed others; its own array goes with it.
        self.subagents.append(embedded)
        self.extra_only += export.extra_only
        return {"trajectory_id": embedded["trajectory_id"], "session_id": embedded["session_id"]}


def _steps_of(output: tuple[Block, ...]) -> Iterator[list[Block]]:
    """Yield runs of blocks that are one step: a thought, a text, then tool calls."""
    step: list[Block] = []
    for block in output:
        if step and not _goes_on(step, block):
            yield step
            step = []
        step.append(block)
    if step:
        yield step


def _goes_on(step: list[Block], block: Block) -> bool:
    rank, last = _rank(block), _rank(step[-1])
    if rank is None or last is None:
        return False
    calls = [use.id for use in step if isinstance(use, ToolUse)]
    return rank > last or (isinstance(block, ToolUse) and block.id not in calls)


def _rank(block: Block) -> int | None:
    """Return a block's place in a step; None for one that is a step by itself."""
    if isinstance(block, TextBlock | ThinkingBlock) and not block.text:
        return None
    return _RANK.get(type(block))


def _image(block: ImageBlock) -> _Document:
    path = f"data:{block.mime_type};base64,{block.data}" if block.data else block.uri
    return {"type": "image", "source": {"media_type": block.mime_type, "path": path}}


def _metrics(usage: UsageStats) -> _Document:
    came_in = usage.total_tokens - usage.output_tokens
    metrics: _Document = {
        "prompt_tokens": came_in,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
    }
    if usage.cost_usd is not None:
        metrics["cost_usd"] = usage.cost_usd
    return metrics


def _totals(usage: UsageStats) -> _Document:
    return {f"total_{name}": value for name, value in _metrics(usage).items()}
