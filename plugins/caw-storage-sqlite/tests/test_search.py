"""Searches: what the index of words does that a look through all texts does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.storage import SearchQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_sqlite import search

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_sqlite.storage import SqliteStorage

    Ask = Callable[..., list[tuple[object, ...]]]

TEXTS = (
    "Fix the flaky test in parser.py",
    "Explain C++ templates to me",
    "GRÜSSE an alle, with ümlauts",
    "the arrow -> is a symbol",
    'a "quoted" word and a NEAR(one, two)',
)


@pytest.fixture(params=["index", "scan"])
def filled(
    request: pytest.FixtureRequest, reopen: Callable[[str], SqliteStorage], info: SessionInfo
) -> SqliteStorage:
    storage = reopen(f"?search={request.param}")
    for index, text in enumerate(TEXTS):
        storage.persist_turn(info, Turn(index=index, input=text, output=(TextBlock(text="Done."),)))
    return storage


def found(storage: SqliteStorage, text: str) -> list[int]:
    return [hit.turn for hit in storage.search_sessions(SearchQuery(text=text)).hits]


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("test", [0]),
        ("TEST flaky", [0]),
        ("parser.py", [0]),
        ("test templates", []),
        ("grüsse", [2]),
        ("->", [3]),
        ("arrow ->", [3]),
        ("-> templates", []),
        ('"quoted"', [4]),
        ("NEAR(one", [4]),
        ("OR AND NOT", []),
        ("done", [4, 3, 2, 1, 0]),
        ("100% of_it", []),
    ],
)
def test_words_are_found(filled: SqliteStorage, text: str, turns: list[int]) -> None:
    assert found(filled, text) == turns


def test_snippet_shows_the_word_on_one_line(storage: SqliteStorage, info: SessionInfo) -> None:
    text = "before " * 50 + "the\nneedle\nhere" + " after" * 50
    storage.persist_turn(info, Turn(index=0, input=text))
    (hit,) = storage.search_sessions(SearchQuery(text="Needle")).hits
    assert " the needle here " in hit.snippet
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")
    assert len(hit.snippet) < 140


def test_rewritten_turn_is_found_by_its_new_words_alone(
    filled: SqliteStorage, info: SessionInfo
) -> None:
    assert found(filled, "flaky") == [0]
    filled.persist_turn(info, Turn(index=0, input="something else"))
    assert found(filled, "flaky") == []
    assert found(filled, "something") == [0]


def test_running_turn_is_found_and_then_the_ended_one(
    filled: SqliteStorage, info: SessionInfo
) -> None:
    filled.persist_turn(info, Turn(index=9, input="zebra", status="running"))
    assert found(filled, "zebra") == [9]
    filled.persist_turn(info, Turn(index=9, input="zebra", output=(TextBlock(text="giraffe"),)))
    assert found(filled, "zebra giraffe") == [9]


def test_deleted_turns_are_not_found(filled: SqliteStorage) -> None:
    assert found(filled, "flaky") == [0]
    filled.delete_session("session-1")
    assert found(filled, "flaky") == []


def test_shared_turn_is_found_in_both_sessions(filled: SqliteStorage) -> None:
    filled.share_turns(SessionInfo(session_id="child", provider="p"), "session-1", 1)
    hits = filled.search_sessions(SearchQuery(text="flaky")).hits
    assert {(hit.info.session_id, hit.turn) for hit in hits} == {("session-1", 0), ("child", 0)}


def test_shared_hits_are_paged_one_by_one(filled: SqliteStorage) -> None:
    filled.share_turns(SessionInfo(session_id="child", provider="p"), "session-1", 1)
    first = filled.search_sessions(SearchQuery(text="flaky", limit=1))
    second = filled.search_sessions(SearchQuery(text="flaky", limit=1, cursor=first.next_cursor))
    names = [hit.info.session_id for page in (first, second) for hit in page.hits]
    assert (names, second.next_cursor) == (["session-1", "child"], "")


def test_index_agrees_with_the_texts_after_all_that_was_done(
    storage: SqliteStorage, info: SessionInfo, database: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCH", 3)
    for index in range(10):
        storage.persist_turn(info, Turn(index=index, input=f"word{index} common"))
    assert len(found(storage, "common")) == 10
    other = SessionInfo(session_id="other", provider="p")
    for index in range(5):
        storage.persist_turn(other, Turn(index=index, input="common as well"))
        storage.persist_turn(info, Turn(index=index, input=f"new{index} common"))
    storage.delete_session("other")
    assert len(found(storage, "common")) == 10
    storage.close()
    # Raises where an entry of the index is not in the texts, or the other way round.
    database("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def test_storing_alone_makes_no_index(filled: SqliteStorage, database: Ask) -> None:
    assert database("SELECT name FROM sqlite_schema WHERE name = 'words'") == []
