"""Documents as text: what json would have written, and by which way."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.document_text import document_bytes, document_lines

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=20,
)


class _Word(enum.StrEnum):
    TEXT = "text"


class _Text(str):
    """As a program's own kind of text."""

    __slots__ = ()


def _same(text: bytes, document: object) -> bool:
    # Compared as text, where NaN is NaN, 1 is not 1.0, and 1 is not true.
    return json.dumps(json.loads(text)) == json.dumps(document)


@given(st.dictionaries(st.text(), _values))
def test_every_document_means_what_json_makes_of_it(document: dict[str, Any]) -> None:
    assert _same(document_bytes(document), document)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, 2**200, 1e16, 5e-324, -0.0, 1e22, "\0"],
)
def test_numbers_at_the_edges_stay_what_they_are(value: object) -> None:
    assert _same(document_bytes(_holding(value)), _holding(value))


def _holding(value: object) -> dict[str, object]:
    return {"deep": [{"value": value}], "none": None}


def test_half_of_a_surrogate_pair_is_escaped_and_comes_back() -> None:
    document = {"\ud800": "ή \udfff"}
    assert json.loads(document_bytes(document).decode("ascii")) == document


def test_text_is_not_escaped_where_utf_8_holds_it() -> None:
    assert document_bytes({"a": "ή"}) == '{"a":"ή"}'.encode()


def test_nesting_past_what_one_encoder_takes_is_left_to_the_other() -> None:
    document: dict[str, Any] = {}
    for _ in range(300):
        document = {"a": document}
    assert json.loads(document_bytes(document)) == document


@pytest.mark.parametrize("value", [_Word.TEXT, _Text("text")], ids=["enumeration", "own kind"])
def test_text_of_another_type_is_written_as_text(value: str) -> None:
    assert document_bytes({"a": value}) == b'{"a":"text"}'


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError):
        document_bytes({"a": object()})


def test_each_line_ends_also_beside_one_that_is_out_of_the_ordinary() -> None:
    assert document_lines([{"a": 1}, {"b": 2**64}]) == b'{"a":1}\n{"b":18446744073709551616}\n'
    assert document_lines([]) == b""
