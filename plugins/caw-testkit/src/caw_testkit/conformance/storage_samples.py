"""Heads and turns that the storage checks write."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import attrs

from caw_core.blocks import ImageBlock, TextBlock, ThinkingBlock, ToolUse, UnknownBlock
from caw_core.trajectory import ErrorInfo, PlanEntry, ResolvedOption, SessionInfo, Trajectory, Turn
from caw_core.usage import UsageStats

_FUTURE = {"from_the_future": {"a": [1, None, "x", 2.5, True], "type": "text"}}


def head(session_id: str = "session-1", **members: Any) -> SessionInfo:
    """Return the head of a record."""
    info = SessionInfo(
        session_id=session_id,
        provider="played",
        model="model-1",
        created_at="2026-01-02T03:04:05+00:00",
        cwd="/somewhere",
        metadata={"ticket": 7, "nested": {"list": [1, {"deep": None}]}},
    )
    return attrs.evolve(info, **members)


def simple_turn(index: int, **members: Any) -> Turn:
    """Return a finished turn with an answer that no other index has."""
    turn = Turn(
        index=index,
        input=f"prompt {index}",
        output=(TextBlock(text=f"answer {index}"),),
        usage=UsageStats(input_tokens=index + 1, output_tokens=2),
        duration_ms=5,
        stop_reason="end_turn",
        started_at="2026-01-02T03:04:05+00:00",
    )
    return attrs.evolve(turn, **members)


def running_turn(index: int) -> Turn:
    """Return a turn in the middle: two finished blocks and a tool call that still runs."""
    return simple_turn(
        index,
        output=(
            TextBlock(text=f"I look at {index}."),
            ToolUse(id="call-1", name="shell", arguments={"command": "ls"}, output="a b"),
            ToolUse(id="call-2", name="shell", arguments={"command": "make"}, status="running"),
        ),
        status="running",
        stop_reason=None,
        duration_ms=0,
    )


def strange_turn(index: int) -> Turn:
    """Return a turn with blocks, members and values of a caw that does not exist yet."""
    return Turn(
        index=index,
        input="prompt",
        output=(
            UnknownBlock(raw={"type": "hologram", "depth": 2, "parts": [{"type": "text"}]}),
            UnknownBlock(raw={"type": "turn_end", "index": 99, "turn_index": 99, "id": None}),
            UnknownBlock(raw={"no": "type"}),
            ThinkingBlock(text="hm", extra=_FUTURE),
            ToolUse(id="1", name="x", arguments={"type": "y"}, content=({"type": "z"},)),
            ToolUse(id="2", name="x", status="running", output="so far", extra={"index": 5}),
            ImageBlock(mime_type="image/png", data="aGk=", extra=_FUTURE),
            TextBlock(text="", extra={**_FUTURE, "turn": {"session_id": "other"}}),
        ),
        usage=UsageStats(
            input_tokens=2**53 - 1, cost_usd=0.1, cost_source="reported", extra=_FUTURE
        ),
        status="failed",
        stop_reason="refusal",
        error=ErrorInfo(type="T", message="m", data={"resets_at": None}, extra=_FUTURE),
        plan=(PlanEntry(text="step", status="a new status", extra=_FUTURE),),
        options=(ResolvedOption(name="cwd", support="native", extra=_FUTURE),),
        attachments=({"kind": "file", "name": "a.txt", **_FUTURE},),
        structured={"answer": [1, 2.5, None, False, {"k": ""}]},
        extra={**_FUTURE, "session_id": "other", "turns": [], "attempt": 3},
    )


def golden_names() -> list[str]:
    """Return the names of the documents of all versions, one at least for each version."""
    folder = resources.files("caw_testkit.conformance") / "golden"
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".json"))


def golden_record(name: str) -> Trajectory:
    """Return the record in one of them."""
    file = resources.files("caw_testkit.conformance") / "golden" / name
    return Trajectory.from_dict(json.loads(file.read_text(encoding="utf-8")))
