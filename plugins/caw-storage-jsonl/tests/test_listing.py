"""Lists of sessions."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import ConfigError
from caw_core.storage import SessionPage, SessionQuery
from caw_core.trajectory import SessionInfo, Turn

if TYPE_CHECKING:
    from pathlib import Path

    from caw_storage_jsonl import JsonlStorage


def fill(storage: JsonlStorage, count: int) -> None:
    for number in range(count):
        provider = "codex" if number % 2 else "echo"
        info = SessionInfo(session_id=f"s{number}", provider=provider)
        storage.persist_turn(info, Turn(index=0, input=f"prompt {number}"))
        touch(storage, info.session_id, number)


def touch(storage: JsonlStorage, session_id: str, seconds: int) -> None:
    path = storage.session_dir(session_id) / "traj.jsonl"
    os.utime(path, ns=(0, 1_700_000_000_000_000_000 + seconds * 10**9))


def ids(page: SessionPage) -> list[str]:
    return [summary.info.session_id for summary in page.sessions]


def test_nothing_stored_is_an_empty_page_and_makes_no_folder(
    storage: JsonlStorage, tmp_path: Path
) -> None:
    assert storage.list_sessions(SessionQuery()) == SessionPage()
    assert list(tmp_path.iterdir()) == []


def test_last_written_comes_first(storage: JsonlStorage) -> None:
    fill(storage, 3)
    page = storage.list_sessions(SessionQuery())
    assert ids(page) == ["s2", "s1", "s0"]
    assert page.sessions[0].title == "prompt 2"
    assert page.sessions[0].num_turns == 1
    assert page.sessions[0].updated_at == "2023-11-14T22:13:22+00:00"
    assert page.next_cursor == ""


def test_pages_follow_each_other_while_sessions_are_written(storage: JsonlStorage) -> None:
    fill(storage, 5)
    first = storage.list_sessions(SessionQuery(limit=2))
    touch(storage, "s4", 100)
    storage.persist_session(SessionInfo(session_id="new", provider="echo"))
    second = storage.list_sessions(SessionQuery(limit=2, cursor=first.next_cursor))
    third = storage.list_sessions(SessionQuery(limit=2, cursor=second.next_cursor))
    assert (ids(first), ids(second), ids(third)) == (["s4", "s3"], ["s2", "s1"], ["s0"])
    assert third.next_cursor == ""


def test_sessions_written_at_the_same_moment_are_each_listed_once(storage: JsonlStorage) -> None:
    fill(storage, 5)
    for number in range(5):
        touch(storage, f"s{number}", 0)
    seen: list[str] = []
    query = SessionQuery(limit=2)
    while True:
        page = storage.list_sessions(query)
        seen += ids(page)
        if not page.next_cursor:
            break
        query = attrs.evolve(query, cursor=page.next_cursor)
    assert sorted(seen) == ["s0", "s1", "s2", "s3", "s4"]


def test_only_sessions_of_one_provider(storage: JsonlStorage) -> None:
    fill(storage, 5)
    assert ids(storage.list_sessions(SessionQuery(provider="codex"))) == ["s3", "s1"]
    assert ids(storage.list_sessions(SessionQuery(provider="codex", limit=1))) == ["s3"]


def test_cursor_that_means_nothing_is_refused(storage: JsonlStorage) -> None:
    with pytest.raises(ConfigError, match="no cursor of this storage"):
        storage.list_sessions(SessionQuery(cursor="later"))


def test_title_is_the_beginning_of_the_first_prompt_on_one_line(storage: JsonlStorage) -> None:
    info = SessionInfo(session_id="a", provider="p")
    storage.persist_turn(info, Turn(index=0, input="\n\n fix\tthe  test\n" + "now " * 99))
    storage.persist_turn(info, Turn(index=1, input="second"))
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert summary.title.startswith("fix the test now now")
    assert summary.title.endswith("…")
    assert len(summary.title) == 80


def test_summary_agrees_with_the_record_however_large_it_is(storage: JsonlStorage) -> None:
    info = SessionInfo(session_id="a", provider="p", system_prompt="s" * 100_000)
    storage.persist_session(info)
    for index in range(3):
        output = (TextBlock(text="x" * 300_000), TextBlock(text="y"))
        turn = Turn(index=index, input="p" * 70_000, output=output, status="running")
        for state in (turn, attrs.evolve(turn, status="completed")):
            info = attrs.evolve(info, resume_key=f"{index}{state.status}")
            storage.persist_turn(info, state)
            (summary,) = storage.list_sessions(SessionQuery()).sessions
            stored = storage.load_trajectory("a")
            assert stored is not None
            assert (summary.info, summary.num_turns) == (stored.info, stored.num_turns)
            assert summary.title.startswith("ppp")


def test_long_session_is_listed_from_its_ends(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    output = (TextBlock(text="x" * 200_000),)
    for index in range(5):
        storage.persist_turn(info, Turn(index=index, input="first prompt", output=output))
    storage.persist_turn(info, Turn(index=5, input="last"))
    content = truth.read_bytes()
    # Damage in the middle that only a reader of the whole file would meet.
    truth.write_bytes(content[:500_000] + b"\n?" + content[500_002:])
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert (summary.info, summary.num_turns, summary.title) == (info, 6, "first prompt")


def test_session_without_turns_is_listed(storage: JsonlStorage, info: SessionInfo) -> None:
    storage.persist_session(info)
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert (summary.info, summary.num_turns, summary.title) == (info, 0, "")


def test_unreadable_sessions_are_named_and_the_others_listed(
    storage: JsonlStorage, tmp_path: Path
) -> None:
    fill(storage, 2)
    root = storage.session_dir("s0").parent
    (root / "damaged").mkdir()
    (root / "damaged" / "traj.jsonl").write_bytes(b"garbage\n")
    (root / "newer").mkdir()
    (root / "newer" / "traj.jsonl").write_bytes(b'{"type":"metadata","version":99}\n')
    (root / "link").symlink_to(root / "s0")
    (root / "not an id").mkdir()
    (root / "blocked" / "traj.jsonl").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / "file").write_bytes(b"")
    page = storage.list_sessions(SessionQuery())
    assert ids(page) == ["s1", "s0"]
    assert sorted(name for name, _ in page.unreadable) == [
        "blocked",
        "damaged",
        "link",
        "newer",
        "not an id",
    ]
    assert all(reason for _, reason in page.unreadable)


def test_session_that_is_only_in_one_file_is_listed(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    ended = attrs.evolve(info, completed_at="2026")
    storage.persist_turn(ended, Turn(index=0, input="a"))
    storage.persist_session(ended)
    truth.unlink()
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert (summary.info, summary.num_turns, summary.title) == (ended, 1, "a")


def test_lists_do_not_keep_a_session_from_being_leased(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, Turn(index=0, input="a", status="running"))
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            storage.list_sessions(SessionQuery())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            storage.lease_session(info.session_id).release()
    finally:
        over.set()
        looking.join()


def test_end_of_a_running_turn_far_behind_is_not_the_sessions_status(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    long = (TextBlock(text="x" * 300_000),)
    storage.persist_turn(info, Turn(index=3, input="d", output=long, status="failed"))
    storage.persist_turn(info, Turn(index=0, input="a", output=long))
    (summary,) = storage.list_sessions(SessionQuery()).sessions
    assert (summary.num_turns, summary.status) == (2, "failed")
