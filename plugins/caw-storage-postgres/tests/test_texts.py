"""What PostgreSQL's types would refuse or change."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.storage import SearchQuery, SessionQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres.texts import escaped, jsonb, unescaped, words_of

if TYPE_CHECKING:
    from caw_storage_postgres.storage import PostgresStorage


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", "\x1a", "\x1a0000", "\0000", "é\U0001f469"])
def test_escape_is_undone(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert "\0" not in escaped(text)


def test_numbers_that_json_has_no_word_for_are_found(storage: PostgresStorage) -> None:
    for name, value in {"inf": math.inf, "text": "inf", "large": 10**400}.items():
        info = SessionInfo(session_id=name, provider="codex", metadata={"n": value})
        storage.persist_session(info)
    for name, value in {"inf": math.inf, "text": "inf", "large": 10**400}.items():
        page = storage.list_sessions(SessionQuery(metadata={"n": value}))
        assert [each.info.session_id for each in page.sessions] == [name]


def test_forms_of_numbers_survive(storage: PostgresStorage) -> None:
    numbers = {"a": 1.0, "b": 1e22, "c": 0.1, "d": -0.0, "e": 10**30}
    info = SessionInfo(session_id="numbers", provider="codex", metadata=numbers)
    storage.persist_session(info)
    record = storage.load_trajectory("numbers")
    assert record is not None
    assert json.dumps(dict(record.metadata)) == json.dumps(numbers)


def test_more_words_than_an_index_takes_are_stored_and_found(
    storage: PostgresStorage, info: SessionInfo
) -> None:
    text = " ".join(f"word{number:07}" for number in range(200_000))
    storage.persist_turn(info, Turn(index=0, input="few"))
    storage.persist_turn(info, Turn(index=1, input="many", output=(TextBlock(text=text),)))
    for words in ("word0000007", "many word0199999"):
        page = storage.search_sessions(SearchQuery(text=words))
        assert [hit.turn for hit in page.hits] == [1]


def test_word_of_any_length_is_stored_and_found(
    storage: PostgresStorage, info: SessionInfo
) -> None:
    word = "x" * 3_000_000
    storage.persist_turn(info, Turn(index=0, input=f"{word} {word[1:]}y"))
    assert len(storage.search_sessions(SearchQuery(text=word)).hits) == 1
    assert storage.search_sessions(SearchQuery(text=word + "z")).hits == ()


def test_facts_are_json_for_any_value() -> None:
    value = {"\0": ["\ud800", math.nan, {"a": (1, None)}]}
    assert json.loads(jsonb(value)) == {
        "\x1a0000": ["\x1ad800", "\x1anan", {"a": [1, None]}],
    }


def test_words_are_those_that_are_looked_for() -> None:
    assert words_of("The test, the TEST: foo_bar.py") == ("the test foo_bar py", True)
