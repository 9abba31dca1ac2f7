"""A provider's own options: what fits comes back, what does not is told in words."""

from __future__ import annotations

from typing import Any

import pytest

from caw_core.errors import ConfigError
from caw_core.own_options import chosen_word, own_option

WORDS = ("auto", "live")


def read(value: Any, kind: Any = int) -> Any:
    return own_option({"digits": value}, "digits", kind, "a whole number", provider="sums")


def test_option_of_the_right_type_comes_back() -> None:
    assert read(7) == 7
    assert read("7", (int, str)) == "7"
    assert read(value=True, kind=bool) is True


def test_option_that_was_not_given_is_nothing() -> None:
    assert own_option({}, "digits", int, "a whole number", provider="sums") is None
    assert read(None) is None


@pytest.mark.parametrize("value", ["7", 7.0, True, [7]])
def test_option_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="sums's option 'digits' must be a whole number, not"):
        read(value)


def test_refused_value_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read({"key": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_first_word_is_the_default() -> None:
    assert chosen_word({}, "protocol", WORDS, provider="sums") == "auto"
    assert chosen_word({"protocol": "live"}, "protocol", WORDS, provider="sums") == "live"


@pytest.mark.parametrize("value", ["telepathy", "", None, 7, ["live"]])
def test_other_words_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="'protocol' must be one of auto, live, not"):
        chosen_word({"protocol": value}, "protocol", WORDS, provider="sums")
