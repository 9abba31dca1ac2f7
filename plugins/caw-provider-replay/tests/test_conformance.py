"""The replay against the checks that every provider must pass, playing a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.blocks import TextBlock, ThinkingBlock, ToolUse
from caw_core.trajectory import ErrorInfo, PlanEntry, Trajectory, Turn
from caw_core.usage import UsageStats
from caw_testkit.conformance import ProviderConformance, ProviderScript

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.blocks import JSON, Block


class RecordScript(ProviderScript):
    """Writes a record that has what the next prompt is to be answered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turns: list[Turn] = []
        self._write()

    def answer(self, text: str) -> str:
        return self._turn(TextBlock(text=text))

    def think(self, thought: str) -> str:
        return self._turn(ThinkingBlock(text=thought), TextBlock(text="done"))

    def call_tool(self, output: str, call_id: str) -> str:
        return self._turn(ToolUse(id=call_id, name="shell", output=f"{output}\n"))

    def fail(self) -> str:
        error = ErrorInfo(type="ConnectionFailedError", message="as asked")
        return self._turn(status="failed", stop_reason=None, error=error)

    def stall(self, text: str) -> str:
        stop: Any = {"status": "interrupted", "stop_reason": "cancelled"}
        return self._turn(TextBlock(text=text), **stop)

    def plan(self, step: str) -> str:
        return self._turn(TextBlock(text="done"), plan=(PlanEntry(text=step),))

    def structured(self, value: JSON) -> str:
        return self._turn(TextBlock(text=json.dumps(value)), structured=value)

    def _turn(self, *blocks: Block, **facts: Any) -> str:
        prompt = f"prompt {len(self._turns)}"
        usage = UsageStats(input_tokens=3, output_tokens=4)
        known = {"stop_reason": "end_turn", "usage": usage, "model": "m", **facts}
        self._turns.append(
            Turn(index=len(self._turns), input=prompt, output=tuple(blocks), **known)
        )
        self._write()
        return prompt

    def _write(self) -> None:
        record = Trajectory(session_id="recorded", provider="codex", turns=tuple(self._turns))
        self._path.write_text(json.dumps(record.to_dict()))


class TestReplay(ProviderConformance):
    provider = "replay"
    cannot = {  # noqa: RUF012 - as the suite declares it
        "recall": "it knows what was recorded alone",
        "run_command": "it runs nothing",
        "ask_permission": "a record does not say what was asked",
        "wire": "it drives no program",
    }

    @pytest.fixture
    def script(self, tmp_path: Path) -> RecordScript:
        return RecordScript(tmp_path / "record.json")

    @pytest.fixture
    def agent_options(self, tmp_path: Path, script: RecordScript) -> dict[str, Any]:
        source = {"record": str(tmp_path / "record.json"), "match": "prompt"}
        return {"options": {**source, "wait_for_interrupt": True}}
