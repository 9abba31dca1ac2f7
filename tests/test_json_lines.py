"""JSON on lines: what is written is read again, and nothing that is read raises."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import ConfigError
from caw_core.json_lines import Line, encode, read_line, write_line

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Without halves of surrogate pairs, which no UTF-8 can hold.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
    max_leaves=8,
)


@given(message=st.dictionaries(st.text("ab"), VALUES))
def test_what_is_written_is_one_line_and_is_read_again(message: dict[str, Any]) -> None:
    line, end = write_line(message)[:-1], write_line(message)[-1:]
    assert (b"\n" in line, end) == (False, b"\n")
    assert read_line(line) == Line(line, message)


@given(raw=st.binary())
def test_no_line_raises(raw: bytes) -> None:
    assert read_line(raw).raw == raw


@pytest.mark.parametrize("raw", [b"", b"null", b"[1]", b"7", b"{", b"[" * 100_000])
def test_line_without_an_object_has_no_message(raw: bytes) -> None:
    assert read_line(raw).message is None


def test_bad_character_costs_no_message() -> None:
    assert read_line(b'{"a": "\xff"}').message == {"a": "\N{REPLACEMENT CHARACTER}"}


def test_text_is_sent_as_it_is_and_without_spaces() -> None:
    assert encode({"a": "é", "b": [1, 2]}) == '{"a":"é","b":[1,2]}'.encode()


@pytest.mark.parametrize(
    ("value", "said"), [("\ud800", "surrogate"), (math.nan, "JSON"), (object(), "JSON")]
)
def test_what_no_line_can_hold_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_line({"a": value})
