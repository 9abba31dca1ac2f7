"""Records as ATIF 1.8: valid for its own models, and back without a loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings

from caw_core import Trajectory, Turn, UsageStats
from caw_core.blocks import (
    ImageBlock,
    SteerBlock,
    TextBlock,
    ThinkingBlock,
    ToolUse,
    UnknownBlock,
)
from caw_core.errors import ConfigError, TrajectoryFormatError
from caw_core.formats.atif import VERSION, to_atif
from caw_core.formats.atif_reading import from_atif
from caw_testkit.strategies import values

GOLDEN = Path(__file__).parents[1] / "golden" / "trajectory_v2.json"


def trajectory(*turns: Turn, **head: Any) -> Trajectory:
    return Trajectory(**{"session_id": "s", "provider": "codex", "turns": turns} | head)


def there_and_back(record: Trajectory, atif_model: Any) -> Trajectory:
    document = json.loads(json.dumps(to_atif(record).document))
    atif_model.model_validate(document)
    back = from_atif(document)
    assert back.left_out == ()
    return back.trajectory


def test_every_value_of_a_record_comes_back(atif_model: Any) -> None:
    record = Trajectory.from_dict(json.loads(GOLDEN.read_bytes()))
    assert there_and_back(record, atif_model) == attrs.evolve(record, resume_key=None)


@settings(max_examples=60, deadline=None)
@given(record=values(Trajectory))
def test_any_record_comes_back(record: Trajectory) -> None:
    assume(record.turns or record.system_prompt)
    document = json.loads(json.dumps(to_atif(record).document))
    assert from_atif(document).trajectory == attrs.evolve(record, resume_key=None)


def test_blocks_become_the_steps_that_others_read(atif_model: Any) -> None:
    turn = Turn(
        index=0,
        input="fix it",
        started_at="2026-11-21T10:00:00+00:00",
        model="m",
        output=(
            ThinkingBlock(text="hm"),
            TextBlock(text="I look."),
            ToolUse(id="1", name="shell", arguments={"command": "ls"}, output="a b"),
            ToolUse(id="2", name="shell", status="running"),
            SteerBlock(text="be quick"),
            TextBlock(text="done"),
        ),
        usage=UsageStats(
            input_tokens=10,
            cache_read_tokens=5,
            output_tokens=3,
            cost_usd=0.5,
            cost_source="reported",
        ),
    )
    document = to_atif(trajectory(turn, system_prompt="be good")).document
    model = atif_model.model_validate(document)
    assert document["schema_version"] == VERSION == "ATIF-v1.8"
    assert [(step.source, step.message) for step in model.steps] == [
        ("system", "be good"),
        ("user", "fix it"),
        ("agent", "I look."),
        ("user", "be quick"),
        ("agent", "done"),
    ]
    assert model.steps[1].timestamp == "2026-11-21T10:00:00+00:00"
    assert model.steps[2].reasoning_content == "hm"
    assert [call.tool_call_id for call in model.steps[2].tool_calls] == ["1", "2"]
    assert [result.content for result in model.steps[2].observation.results] == ["a b"]
    metrics = model.steps[4].metrics
    assert (metrics.prompt_tokens, metrics.cached_tokens, metrics.completion_tokens) == (15, 5, 3)
    assert (metrics.cost_usd, model.final_metrics.total_cost_usd) == (0.5, 0.5)
    assert model.final_metrics.total_steps == 5


def test_image_is_one_for_others_too(atif_model: Any) -> None:
    image = ImageBlock(mime_type="image/png", data="aGk=")
    record = trajectory(Turn(index=0, input="draw", output=(image,)))
    document = to_atif(record).document
    assert atif_model.model_validate(document).has_multimodal_content()
    assert there_and_back(record, atif_model) == record


def test_what_has_no_place_is_told(atif_model: Any) -> None:
    output = (UnknownBlock(raw={"type": "hologram", "depth": 3}),)
    turn = Turn(index=0, input="x", output=output, raw_output=("line",))
    export = to_atif(trajectory(turn, resume_key="the-secret-key"))
    assert export.left_out == ("the resume key, which is a secret", "the agent's raw output")
    assert export.extra_only == ("turn 0: a block of kind 'hologram'",)
    assert "the-secret-key" not in json.dumps(export.document)
    atif_model.model_validate(export.document)


def test_subagents_are_embedded_and_come_back(atif_model: Any) -> None:
    inner = trajectory(Turn(index=0, input="sub", output=(TextBlock(text="found"),)))
    calls = tuple(
        ToolUse(id=name, name="task", output="ok", subagent_trajectory=inner) for name in "ab"
    )
    record = trajectory(Turn(index=0, input="x", output=calls), session_id="outer")
    document = to_atif(record).document
    model = atif_model.model_validate(document)
    assert len({each.trajectory_id for each in model.subagent_trajectories}) == 2
    back = from_atif(document).trajectory.turns[0].tool_calls
    assert [call.subagent_trajectory for call in back] == [inner] * 2


def test_record_without_a_step_cannot_be_exported() -> None:
    with pytest.raises(ConfigError, match="nothing to export"):
        to_atif(trajectory())


FOREIGN = {
    "schema_version": "ATIF-v1.6",
    "session_id": "run/1 of 3",
    "agent": {"name": "other-agent", "version": "2", "model_name": "gpt-x"},
    "steps": [
        {"step_id": 1, "source": "system", "message": "be good"},
        {"step_id": 2, "source": "user", "message": [{"type": "text", "text": "hello"}]},
        {
            "step_id": 3,
            "source": "agent",
            "message": "hi",
            "reasoning_content": "a greeting",
            "tool_calls": [{"tool_call_id": "c", "function_name": "ls", "arguments": {"a": 1}}],
            "observation": {
                "results": [{"source_call_id": "c", "content": "x"}, {"content": "screen"}]
            },
            "metrics": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 1},
            "is_copied_context": True,
        },
        {"step_id": 4, "source": "system", "message": "context was cut"},
        {"step_id": 5, "source": "agent", "message": "", "metrics": {"prompt_tokens": 3}},
        {"step_id": 6, "source": "user", "message": "more"},
    ],
    "notes": "a note",
}


def test_document_of_another_program_is_read(atif_model: Any) -> None:
    atif_model.model_validate(FOREIGN)
    found = from_atif(FOREIGN)
    record = found.trajectory
    assert (record.provider, record.model, record.system_prompt) == (
        "other-agent",
        "gpt-x",
        "be good",
    )
    assert [turn.input for turn in record.turns] == ["hello", "more"]
    thinking, text, call, observed, system = record.turns[0].output
    assert (thinking, text) == (ThinkingBlock(text="a greeting"), TextBlock(text="hi"))
    assert call == ToolUse(id="c", name="ls", arguments={"a": 1}, output="x")
    assert isinstance(observed, UnknownBlock)
    assert isinstance(system, UnknownBlock)
    assert system.raw == {"type": "atif_system", "message": "context was cut"}
    usage = record.turns[0].usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (8, 2, 1)
    assert usage.cost_usd is None
    assert found.left_out == ("notes", "steps[2].is_copied_context")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"schema_version": "ATIF-v2.0", "steps": [{}]},
        {"schema_version": "ATIF-v1.8", "steps": []},
        {"schema_version": 3},
    ],
)
def test_what_is_no_such_document_is_refused(document: Any) -> None:
    with pytest.raises(TrajectoryFormatError):
        from_atif(document)


@pytest.mark.parametrize("step", [{}, {"source": "agent"}, {"message": 5, "tool_calls": [{}, 3]}])
def test_steps_of_any_shape_are_survived(step: Any) -> None:
    document = {"schema_version": "ATIF-v1.8", "steps": [step]}
    assert from_atif(document).trajectory.num_turns <= 1


def test_member_of_another_shape_is_told() -> None:
    step = {"source": "agent", "message": 5, "tool_calls": "x", "observation": None}
    found = from_atif({"schema_version": "ATIF-v1.8", "steps": [step]})
    assert found.left_out == ("steps[0].message", "steps[0].tool_calls")
