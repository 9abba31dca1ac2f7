"""Reading prompts."""

from __future__ import annotations

import pytest

from caw_core.errors import LimitError, ProcessError, ProviderError
from caw_provider_echo.directives import (
    Step,
    count_of,
    error_of,
    json_of,
    name_json_and_rest,
    steps_of,
)


def words(prompt: str) -> list[tuple[str, str]]:
    return [(step.word, step.rest) for step in steps_of(prompt)]


def test_prompt_without_directives_is_one_text() -> None:
    assert list(steps_of("a\n\nb")) == [Step(word="", rest="a\n\nb")]


def test_empty_prompt_is_an_empty_text() -> None:
    assert words("") == [("", "")]


def test_prompt_of_directives_alone_has_no_text() -> None:
    assert words("!think a\n!cwd") == [("think", "a"), ("cwd", "")]


def test_text_comes_where_its_last_line_stands() -> None:
    assert words("a\n!think b\nc\n!cwd") == [("think", "b"), ("", "a\nc"), ("cwd", "")]


def test_unknown_directive_is_text() -> None:
    assert words("!important") == [("", "!important")]


def test_limit_can_have_an_end() -> None:
    error = error_of("rate 2030-01-01T00:00:00+00:00")
    assert isinstance(error, LimitError)
    assert error.kind == "rate"
    assert error.resets_at is not None
    assert error.resets_at.year == 2030


@pytest.mark.parametrize("rest", ["usage tomorrow", "usage 2030-01-01", "nonsense", ""])
def test_failure_that_cannot_be_read_says_so(rest: str) -> None:
    error = error_of(rest)
    assert type(error) is ProviderError
    assert "!fail" in str(error)


def test_failed_process_has_its_facts() -> None:
    error = error_of("process")
    assert isinstance(error, ProcessError)
    assert (error.exit_code, error.stderr_tail) == (1, "echo: failed\n")


def test_json_may_be_missing_and_text_may_follow() -> None:
    assert name_json_and_rest("t") == ("t", None, "")
    assert name_json_and_rest('t {"a": 1} => out') == ("t", {"a": 1}, "=> out")
    assert name_json_and_rest("t => out") == ("t", None, "=> out")


def test_what_is_no_json_says_so() -> None:
    with pytest.raises(ProviderError, match="needs JSON"):
        name_json_and_rest("t nonsense")


@pytest.mark.parametrize("rest", ["", "0", "-1", "two", "1.5"])
def test_number_of_calls_is_whole_and_above_0(rest: str) -> None:
    assert count_of("12") == 12
    with pytest.raises(ProviderError, match="!calls needs"):
        count_of(rest)


def test_any_json_value_can_be_answered() -> None:
    assert json_of('{"a": [1, null]}') == {"a": [1, None]}
    assert json_of("3") == 3
    with pytest.raises(ProviderError, match="!json needs"):
        json_of("{")
