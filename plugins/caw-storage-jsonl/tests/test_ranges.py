"""Some turns of a record, read from the end of the file: the same as cut from the whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caw_core.blocks import TextBlock, ToolUse
from caw_core.errors import TrajectoryFormatError
from caw_core.storage import SessionQuery, TurnRange
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from pathlib import Path

INFO = SessionInfo(session_id="session-1", provider="p")
LONG = "x" * 30_000


def turn_of(index: int, *, call: str = "", text: str = LONG, prompt: str = "prompt") -> Turn:
    use = ToolUse(id="1", name="shell", arguments={"command": call}, output=call)
    output = (TextBlock(text=text), use, TextBlock(text=f"answer {index}"))
    return Turn(index=index, input=f"{prompt} {index}", output=output)


def must_agree(storage: JsonlStorage, turns: TurnRange) -> None:
    whole = storage.load_trajectory(INFO.session_id)
    assert whole is not None
    found = storage.load_trajectory(INFO.session_id, turns)
    assert found == Trajectory.of(whole.info, turns.of(whole.turns))


@pytest.mark.parametrize("stop", [None, 0, 5, 9, 100])
@pytest.mark.parametrize("start", [0, 4, 9, 100])
@pytest.mark.parametrize("last", [None, 0, 1, 3, 100])
def test_each_range_of_a_long_record(
    storage: JsonlStorage, start: int, stop: int | None, last: int | None
) -> None:
    for index in range(10):
        storage.persist_turn(INFO, turn_of(index))
    storage.persist_turn(INFO, attrs.evolve(turn_of(10), status="running"))
    must_agree(storage, TurnRange(start=start, stop=stop, last=last))


def test_only_the_end_of_the_file_is_read(storage: JsonlStorage, truth: Path) -> None:
    for index in range(10):
        storage.persist_turn(INFO, turn_of(index))
    content = truth.read_bytes()
    # Damage in the middle that only a reader of the whole file would meet.
    truth.write_bytes(content[:100_000] + b"\n?" + content[100_002:])
    found = storage.load_trajectory(INFO.session_id, TurnRange(last=2))
    assert found == Trajectory.of(INFO, (turn_of(8), turn_of(9)))
    with pytest.raises(TrajectoryFormatError, match=r"traj\.jsonl, line "):
        storage.load_trajectory(INFO.session_id, TurnRange(start=1))


def test_turn_that_was_written_again_is_read_with_the_blocks_that_stayed(
    storage: JsonlStorage,
) -> None:
    for index in range(4):
        storage.persist_turn(INFO, turn_of(index, call="make"))
    # Only its prompt and the result of its tool call are written again, far from the rest.
    changed = turn_of(1, call="make", prompt="other")
    use = ToolUse(id="1", name="shell", arguments={"command": "make"}, output="done")
    storage.persist_turn(INFO, attrs.evolve(changed, output=(changed.output[0], use)))
    for turns in (TurnRange(start=1, stop=2), TurnRange(last=1), TurnRange(last=3)):
        must_agree(storage, turns)


def test_holes_are_seen(storage: JsonlStorage) -> None:
    for index in (0, 7, 3, 1000):
        storage.persist_turn(INFO, turn_of(index))
    for turns in (TurnRange(last=2), TurnRange(start=4, stop=1000), TurnRange(start=3, last=2)):
        must_agree(storage, turns)


def test_record_of_an_older_writer_is_read_whole(storage: JsonlStorage, truth: Path) -> None:
    for index in range(10):
        storage.persist_turn(INFO, turn_of(index))
    lines = [json.loads(line) for line in truth.read_bytes().splitlines()]
    old = [{key: line[key] for key in line if key != "last_turn"} for line in lines]
    truth.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in old))
    must_agree(storage, TurnRange(last=2))
    JsonlStorage(truth.parents[2]).persist_turn(INFO, turn_of(10))
    must_agree(storage, TurnRange(last=2))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    writes=st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["", "make"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    turns=st.builds(
        TurnRange,
        start=st.integers(0, 7),
        stop=st.none() | st.integers(0, 7),
        last=st.none() | st.integers(0, 4),
    ),
)
def test_range_is_a_part_of_the_whole_whatever_was_written(
    storage: JsonlStorage,
    writes: list[tuple[int, str, str, bool]],
    turns: TurnRange,
) -> None:
    storage.delete_session(INFO.session_id)
    for index, prompt, call, runs in writes:
        turn = turn_of(index, call=call, prompt=prompt)
        storage.persist_turn(INFO, attrs.evolve(turn, status="running") if runs else turn)
    must_agree(storage, turns)
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    whole = storage.load_trajectory(INFO.session_id)
    assert whole is not None
    last = whole.turns[-1].status
    assert (summary.num_turns, summary.status) == (whole.num_turns, last)
