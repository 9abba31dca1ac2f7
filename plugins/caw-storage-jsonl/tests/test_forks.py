"""Forks share their parent's file by a second name of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import TrajectoryFormatError
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from pathlib import Path

PARENT = SessionInfo(session_id="parent", provider="p")
CHILD = SessionInfo(session_id="child", provider="p", forked_from="parent")
TURNS = tuple(
    Turn(index=index, input=f"prompt {index}", output=(TextBlock(text="x" * 5000),))
    for index in range(4)
)


@pytest.fixture
def forked(storage: JsonlStorage) -> JsonlStorage:
    for turn in TURNS:
        storage.persist_turn(PARENT, turn)
    assert storage.share_turns(CHILD, "parent", 2)
    return storage


def test_fork_has_a_second_name_of_its_parents_file(forked: JsonlStorage) -> None:
    parent, child = forked.session_dir("parent"), forked.session_dir("child")
    assert (child / "shared-0.jsonl").samefile(parent / "traj.jsonl")
    assert (child / "traj.jsonl").stat().st_size < 1000
    assert forked.load_trajectory("child") == Trajectory.of(CHILD, TURNS[:2])


def test_copy_of_the_folder_is_complete(forked: JsonlStorage) -> None:
    shared = forked.session_dir("child") / "shared-0.jsonl"
    content = shared.read_bytes()
    shared.unlink()
    shared.write_bytes(content)
    assert forked.load_trajectory("child") == Trajectory.of(CHILD, TURNS[:2])


def test_fork_whose_file_is_gone_is_damaged_and_not_shorter(forked: JsonlStorage) -> None:
    shared = forked.session_dir("child") / "shared-0.jsonl"
    shared.write_bytes(shared.read_bytes()[:100])
    with pytest.raises(TrajectoryFormatError, match=r"traj\.jsonl: the turns \[0, 1\]"):
        forked.load_trajectory("child")


def test_fork_writes_over_a_turn_that_it_shares(forked: JsonlStorage) -> None:
    other = Turn(index=1, input="other")
    JsonlStorage(forked.session_dir("x").parents[1]).persist_turn(CHILD, other)
    assert forked.load_trajectory("child") == Trajectory.of(CHILD, (TURNS[0], other))
    assert forked.load_trajectory("parent") == Trajectory.of(PARENT, TURNS)


def test_late_running_state_of_a_shared_turn_is_passed_over(forked: JsonlStorage) -> None:
    forked.persist_turn(CHILD, Turn(index=1, input="late", status="running"))
    assert forked.load_trajectory("child") == Trajectory.of(CHILD, TURNS[:2])


def test_snapshot_of_a_fork_holds_the_shared_turns(forked: JsonlStorage) -> None:
    ended = SessionInfo(session_id="child", provider="p", completed_at="2026")
    forked.persist_session(ended)
    (forked.session_dir("child") / "traj.jsonl").unlink()
    assert forked.load_trajectory("child") == Trajectory.of(ended, TURNS[:2])


def test_record_with_holes_is_not_shared(storage: JsonlStorage) -> None:
    for index in (0, 2):
        storage.persist_turn(PARENT, TURNS[index])
    assert not storage.share_turns(CHILD, "parent", 3)


def test_session_of_the_existing_wrapper_is_not_shared(
    storage: JsonlStorage, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "sessions" / "parent"
    folder.mkdir(parents=True)
    (folder / "traj.jsonl").write_bytes(
        b'{"type":"metadata","session_id":"parent","agent":"codex"}\n'
        b'{"type":"user","message":"a","turn_index":0}\n'
        b'{"type":"turn_end","turn_index":0,"usage":{},"duration_ms":1}\n'
    )
    assert storage.load_trajectory("parent") is not None
    assert not storage.share_turns(CHILD, "parent", 1)


def test_turns_are_not_shared_where_there_are_no_second_names(
    storage: JsonlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    storage.persist_turn(PARENT, TURNS[0])
    monkeypatch.setattr(os, "link", refuse)
    assert not storage.share_turns(CHILD, "parent", 1)
    storage.persist_turn(CHILD, TURNS[0])
    assert storage.load_trajectory("child") == Trajectory.of(CHILD, TURNS[:1])


def test_leftover_of_an_attempt_is_replaced(storage: JsonlStorage) -> None:
    storage.persist_turn(PARENT, TURNS[0])
    storage.persist_session(CHILD)
    (storage.session_dir("child") / "shared-0.jsonl").write_bytes(b"leftover")
    assert storage.share_turns(CHILD, "parent", 1)
    assert storage.load_trajectory("child") == Trajectory.of(CHILD, TURNS[:1])
