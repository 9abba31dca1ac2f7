"""Stored records that something has damaged: an error that says so, or a record; nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caw_core.errors import TrajectoryError
from caw_core.serialize import turn_to_dict
from caw_core.storage import SessionQuery
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_storage_jsonl import JsonlStorage
from caw_testkit.strategies import mutated, values

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
OLD = ROOT / "plugins/caw-storage-jsonl/tests/old_wrapper"
SESSION = "session-1"


def stored(storage: JsonlStorage) -> Path:
    return storage.session_dir(SESSION) / "traj.jsonl"


def lines_of(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def written() -> list[Any]:
    """Return the lines of the golden trajectory, as this version writes them."""
    golden = Trajectory.from_dict(
        json.loads((ROOT / "tests/golden/trajectory_v2.json").read_text())
    )
    info = SessionInfo(session_id=SESSION, provider="codex", metadata={"a": 1})
    with tempfile.TemporaryDirectory() as folder:
        storage = JsonlStorage(folder)
        for turn in golden.turns:
            storage.persist_turn(info, turn)
        return lines_of(stored(storage))


RECORDS: dict[str, Sequence[Any]] = {
    "ours": written(),
    **{
        case: [
            {**line, "session_id": SESSION} if line.get("session_id") else line for line in lines
        ]
        for case in ("resumed", "subagents")
        for lines in [lines_of(OLD / f"{case}/sessions/{case}/traj.jsonl")]
    },
}


def opened(folder: str, data: bytes) -> JsonlStorage:
    storage = JsonlStorage(folder)
    file = stored(storage)
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return storage


def must_be_readable_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage = opened(folder, data)
        page = storage.list_sessions(SessionQuery())
        assert len(page.sessions) + len(page.unreadable) <= 1
        try:
            record = storage.load_trajectory(SESSION)
        except TrajectoryError:
            return
        if record is None:
            return
        # As text, since a cost may be NaN there, which equals nothing.
        document = json.dumps(record.to_dict())
        assert json.dumps(Trajectory.from_dict(json.loads(document)).to_dict()) == document
        # Somebody who may go on with it adds a turn, and all the others stay as they are.
        turn = Turn(index=max((turn.index for turn in record.turns), default=-1) + 1, input="more")
        storage.persist_turn(record.info, turn)
        again = JsonlStorage(folder).load_trajectory(SESSION)
        assert again is not None
        turns = [turn_to_dict(each) for each in again.turns]
        assert json.dumps(turns) == json.dumps([turn_to_dict(t) for t in (*record.turns, turn)])


@pytest.mark.parametrize("case", RECORDS)
@given(data=st.data())
def test_record_with_other_lines_is_read_or_refused(case: str, data: st.DataObject) -> None:
    lines = data.draw(mutated(RECORDS[case]))
    must_be_readable_or_refused(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@given(st.binary(max_size=200), st.data())
def test_record_with_other_bytes_is_read_or_refused(junk: bytes, data: st.DataObject) -> None:
    whole = b"".join(json.dumps(line).encode() + b"\n" for line in RECORDS["ours"])
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    must_be_readable_or_refused(whole[:begin] + junk + whole[end:])


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(values(Turn), max_size=3))
def test_every_turn_comes_back_as_it_was(turns: list[Turn]) -> None:
    info = SessionInfo(session_id=SESSION, provider="p")
    by_index = {abs(turn.index) % 1000: turn for turn in turns if turn.status != "running"}
    with tempfile.TemporaryDirectory() as folder:
        storage = JsonlStorage(folder)
        storage.persist_session(info)
        expected = []
        for index, turn in by_index.items():
            document = {**turn_to_dict(turn), "index": index}
            storage.persist_turn(info, Turn.from_dict(document))
            expected.append(document)
        record = JsonlStorage(folder).load_trajectory(SESSION)
    assert record is not None
    expected.sort(key=lambda document: document["index"])
    assert [turn_to_dict(turn) for turn in record.turns] == expected
