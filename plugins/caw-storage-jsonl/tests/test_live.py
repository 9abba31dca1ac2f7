"""The file of live events."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.events import TextDelta
from caw_core.storage import LiveEvent
from caw_core.trajectory import SessionInfo

if TYPE_CHECKING:
    from pathlib import Path

    from caw_storage_jsonl import JsonlStorage

ENDED = SessionInfo(session_id="session-1", provider="p", completed_at="2026")


def pieces(count: int, *, start: int = 0, size: int = 5) -> list[LiveEvent]:
    return [
        LiveEvent(turn=0, number=number, event=TextDelta(text="x" * size))
        for number in range(start, start + count)
    ]


@pytest.fixture
def path(storage: JsonlStorage) -> Path:
    return storage.session_dir("session-1") / "events.jsonl"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_events_are_their_owners_alone(storage: JsonlStorage, path: Path) -> None:
    for start in range(0, 5000, 500):
        storage.publish_events("session-1", pieces(500, start=start))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_line_that_a_kill_cut_short_is_passed_over(storage: JsonlStorage, path: Path) -> None:
    storage.publish_events("session-1", pieces(2))
    with path.open("ab") as file:
        file.write(b'{"turn":0,"number":2,"event":{"type":"text_de')
    assert storage.read_events("session-1", "", 10, 0) == pieces(2)
    later = type(storage)(path.parents[2])
    later.publish_events("session-1", pieces(1, start=3))
    assert later.read_events("session-1", "0.1", 10, 0) == pieces(1, start=3)


def test_file_does_not_grow_past_twice_of_what_is_kept(storage: JsonlStorage, path: Path) -> None:
    for start in range(0, 40, 4):
        storage.publish_events("session-1", pieces(4, start=start, size=1 << 20))
        assert path.stat().st_size < 14 << 20
    assert storage.read_events("session-1", "0.38", 10, 0) == pieces(1, start=39, size=1 << 20)


def test_end_of_a_session_leaves_the_last_few(storage: JsonlStorage, path: Path) -> None:
    storage.publish_events("session-1", pieces(900, size=1000))
    storage.persist_session(ENDED)
    assert path.stat().st_size <= 64 << 10
    held = storage.read_events("session-1", "", 1000, 0)
    assert held == pieces(len(held), start=900 - len(held), size=1000)
    assert len(held) > 50


def test_session_that_published_nothing_has_no_such_file(storage: JsonlStorage, path: Path) -> None:
    storage.publish_events("session-1", [])
    storage.persist_session(ENDED)
    assert not path.exists()


def test_reader_who_is_far_behind_gets_all_that_there_is(storage: JsonlStorage) -> None:
    storage.publish_events("session-1", pieces(300, size=2000))
    assert storage.read_events("session-1", "", 1000, 0) == pieces(300, size=2000)
    assert storage.read_events("session-1", "0.99", 1000, 0) == pieces(200, start=100, size=2000)
