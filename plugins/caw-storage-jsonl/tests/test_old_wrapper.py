"""Sessions of the existing wrapper: they load, go on, and its readers still read ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import pytest

from caw_core.blocks import TextBlock, ThinkingBlock, ToolUse
from caw_core.errors import TrajectoryFormatError
from caw_core.storage import SessionQuery
from caw_core.trajectory import Trajectory, Turn
from caw_storage_jsonl import JsonlStorage

FIXTURES = Path(__file__).parent / "old_wrapper"
CASES = {
    "complete": 2,
    "killed-in-turn": 2,
    "resumed": 3,
    "snapshot-only": 2,
    "subagents": 2,
    "torn-snapshot": 2,
}


def opened(case: str, tmp_path: Path) -> JsonlStorage:
    shutil.copytree(FIXTURES / case, tmp_path / case)
    return JsonlStorage(tmp_path / case)


def load(storage: JsonlStorage, case: str) -> Trajectory:
    trajectory = storage.load_trajectory(case)
    assert trajectory is not None
    return trajectory


@pytest.mark.parametrize(("case", "num_turns"), CASES.items())
def test_old_session_loads(case: str, num_turns: int, tmp_path: Path) -> None:
    trajectory = load(opened(case, tmp_path), case)
    assert (trajectory.session_id, trajectory.provider) == (case, "codex")
    assert (trajectory.model, trajectory.system_prompt) == ("gpt-5", "be brief")
    assert trajectory.extra["mcp_servers"][0]["name"] == "tools"
    assert [turn.index for turn in trajectory.turns] == list(range(num_turns))
    first = trajectory.turns[0]
    assert first.input == "prompt 0\nsecond line ✓ ünïcode"
    assert [type(block) for block in first.output] == [ThinkingBlock, ToolUse, ToolUse, TextBlock]
    assert [call.status for call in first.tool_calls] == ["completed", "failed"]
    assert first.tool_calls[0].arguments == {"command": "ls"}
    assert (first.result, first.status, first.duration_ms) == ("answer 0", "completed", 1000)
    assert (first.usage.input_tokens, first.usage.cost_usd) == (100, None)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"torn-snapshot"}))
def test_old_session_has_the_resume_key_that_only_the_snapshot_holds(
    case: str, tmp_path: Path
) -> None:
    assert load(opened(case, tmp_path), case).metadata == {"thread_id": "thread-1"}


@pytest.mark.parametrize("case", ["complete", "subagents"])
def test_lines_and_snapshot_of_an_old_session_tell_the_same(case: str, tmp_path: Path) -> None:
    storage = opened(case, tmp_path)
    both = load(storage, case)
    (storage.session_dir(case) / "traj.jsonl").unlink()
    assert load(storage, case) == both


def test_old_turn_that_was_killed_is_unknown_with_what_was_seen(tmp_path: Path) -> None:
    storage = opened("killed-in-turn", tmp_path)
    turn = load(storage, "killed-in-turn").turns[1]
    assert (turn.status, turn.output) == ("unknown", (TextBlock(text="so far"),))
    assert turn.error is not None


def test_trajectory_of_a_subagent_stays_on_its_call(tmp_path: Path) -> None:
    (call,) = load(opened("subagents", tmp_path), "subagents").turns[1].tool_calls
    nested = call.subagent_trajectory
    assert nested is not None
    assert (nested.session_id, nested.result) == ("nested", "answer 5")


def test_old_snapshot_alone_that_is_torn_is_an_error(tmp_path: Path) -> None:
    storage = opened("torn-snapshot", tmp_path)
    (storage.session_dir("torn-snapshot") / "traj.jsonl").unlink()
    with pytest.raises(TrajectoryFormatError, match=r"trajectory\.json"):
        storage.load_trajectory("torn-snapshot")


@pytest.mark.parametrize("case", CASES)
def test_old_session_goes_on(case: str, tmp_path: Path) -> None:
    storage = opened(case, tmp_path)
    old = load(storage, case)
    new = Turn(index=old.num_turns, input="new", output=(TextBlock(text="answer"),))
    info = attrs.evolve(old.info, completed_at="")
    storage.persist_turn(info, attrs.evolve(new, status="running"))
    storage.persist_turn(info, new)
    expected = Trajectory.of(info, (*old.turns, new))
    assert load(storage, case) == expected
    assert load(JsonlStorage(tmp_path / case), case) == expected
    ended = attrs.evolve(info, completed_at="2026-02-02T00:00:00+00:00")
    storage.persist_session(ended)
    document = json.loads((storage.session_dir(case) / "trajectory.json").read_bytes())
    assert Trajectory.from_dict(document) == Trajectory.of(ended, (*old.turns, new))


@pytest.mark.parametrize("case", ["snapshot-only", "killed-in-turn"])
def test_taking_over_an_old_session_can_be_cut_off_anywhere(case: str, tmp_path: Path) -> None:
    storage = opened(case, tmp_path)
    old = load(storage, case)
    path = storage.session_dir(case) / "traj.jsonl"
    before = len(path.read_bytes()) if path.exists() else 0
    new = Turn(index=old.num_turns, input="new")
    storage.persist_turn(old.info, new)
    whole = path.read_bytes()
    for size in range(before, len(whole), 11):
        path.write_bytes(whole[:size])
        turns = load(storage, case).turns
        assert [turn.input for turn in turns[: old.num_turns]] == [t.input for t in old.turns]
        storage.persist_turn(old.info, new)
        assert load(storage, case).turns == (*old.turns, new)


def test_old_turns_that_were_misnumbered_are_counted_by_order(tmp_path: Path) -> None:
    storage = opened("complete", tmp_path)
    path = storage.session_dir("complete") / "traj.jsonl"
    path.write_text(path.read_text().replace('"turn_index": 1', '"turn_index": 0'))
    trajectory = load(storage, "complete")
    assert [turn.index for turn in trajectory.turns] == [0, 1]
    assert [turn.result for turn in trajectory.turns] == ["answer 0", "answer 1"]


def test_turn_that_the_existing_wrapper_adds_to_our_file_is_a_turn_of_its_own(
    tmp_path: Path,
) -> None:
    storage = opened("complete", tmp_path)
    info = load(storage, "complete").info
    storage.persist_turn(info, Turn(index=2, input="ours"))
    path = storage.session_dir("complete") / "traj.jsonl"
    theirs = path.read_text().splitlines()[1:8]
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in theirs)
    turns = load(storage, "complete").turns
    assert [turn.input[:8] for turn in turns] == ["prompt 0", "prompt 1", "ours", "prompt 0"]


@pytest.mark.parametrize(("case", "num_turns"), CASES.items())
def test_old_session_is_listed(case: str, num_turns: int, tmp_path: Path) -> None:
    storage = opened(case, tmp_path)
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert summary.info == load(storage, case).info
    assert (summary.num_turns, summary.title) == (num_turns, "prompt 0 second line ✓ ünïcode")


def test_old_result_without_its_call_is_a_tool_call_too(tmp_path: Path) -> None:
    storage = opened("complete", tmp_path)
    path = storage.session_dir("complete") / "traj.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"tool_call", "id": "bad-0"' not in line))
    call = load(storage, "complete").turns[0].tool_calls[1]
    assert (call.id, call.name, call.output) == ("bad-0", "shell", "no such file")
