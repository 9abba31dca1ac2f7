"""Members of JSON by type: what fits comes back, what does not is as if it were not there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.json_fields import decimal, mapping, number, objects, strings, text

READERS = (text, number, decimal, mapping, objects, strings)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (text, "a"),
        (number, 3),
        (decimal, 0.5),
        (mapping, {"b": 1}),
        (objects, [{"b": 1}, {}]),
        (strings, ["a", ""]),
    ],
)
def test_member_of_the_right_type_comes_back(read: Any, value: Any) -> None:
    assert read({"x": value}, "x") == value


@pytest.mark.parametrize(
    ("read", "value", "instead"),
    [
        (text, 7, ""),
        (number, "7", None),
        (number, 7.5, None),
        (number, True, None),
        (decimal, True, None),
        (decimal, "0.5", None),
        (decimal, 10**400, None),
        (decimal, float("nan"), None),
        (mapping, [1], {}),
        (objects, {"a": 1}, []),
        (strings, "abc", []),
    ],
)
def test_member_of_another_type_is_missing(read: Any, value: Any, instead: Any) -> None:
    assert read({"x": value}, "x") == instead == read({}, "x")


def test_whole_number_is_a_decimal_too() -> None:
    assert decimal({"x": 2}, "x") == 2.0


def test_lists_keep_only_what_fits() -> None:
    mixed = ["a", {"b": 1}, 3, None, ["c"], {}]
    assert strings({"x": mixed}, "x") == ["a"]
    assert objects({"x": mixed}, "x") == [{"b": 1}, {}]


@given(data=JSON_VALUES, name=st.text())
def test_nothing_raises_whatever_the_data_is(data: Any, name: str) -> None:
    for read in READERS:
        read(data, name)
