"""Searching files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from caw_core.storage import SearchPage, SearchQuery
from caw_core.trajectory import SessionInfo, Turn

if TYPE_CHECKING:
    import pytest

    from caw_storage_jsonl import JsonlStorage


def hits(page: SearchPage) -> list[tuple[str, int]]:
    return [(hit.info.session_id, hit.turn) for hit in page.hits]


def test_record_that_cannot_be_read_is_left_out_with_a_warning(
    storage: JsonlStorage, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        info = SessionInfo(session_id=name, provider="p")
        storage.persist_turn(info, Turn(index=0, input="needle"))
    (storage.session_dir("b") / "traj.jsonl").write_bytes(b"garbage\n")
    with caplog.at_level(logging.WARNING, "caw.storage.jsonl"):
        assert hits(storage.search_sessions(SearchQuery(text="needle"))) == [("a", 0)]
    assert "session b was not searched" in caplog.text


def test_next_page_goes_on_inside_a_session_that_others_overtook(storage: JsonlStorage) -> None:
    info = SessionInfo(session_id="old", provider="p")
    for index in range(4):
        storage.persist_turn(info, Turn(index=index, input="needle"))
    first = storage.search_sessions(SearchQuery(text="needle", limit=2))
    other = SessionInfo(session_id="new", provider="p")
    storage.persist_turn(other, Turn(index=0, input="needle"))
    query = SearchQuery(text="needle", limit=2, cursor=first.next_cursor)
    second = storage.search_sessions(query)
    assert (hits(first), hits(second)) == ([("old", 0), ("old", 1)], [("old", 2), ("old", 3)])
