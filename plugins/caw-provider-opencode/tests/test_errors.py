"""From what opencode says of a failure to the error's class and facts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    ProviderError,
)
from caw_provider_opencode.errors import Retry, retries_used_up, turn_error


def _api(status: int | None, message: str = "said", code: str = "") -> dict[str, Any]:
    body = json.dumps({"error": {"code": code}})
    data = {"message": message, "statusCode": status, "responseBody": body}
    return {"name": "APIError", "data": data}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_api(400), ProviderError),
        (_api(500), ProviderError),
        (_api(401), AuthError),
        (_api(403), AuthError),
        (_api(404), ProviderError),
        (_api(404, "The model `x` does not exist"), ModelError),
        (_api(400, code="model_not_found"), ModelError),
        (_api(400, code="context_length_exceeded"), ContextLimitError),
        (_api(None), ConnectionFailedError),
        ({"name": "ProviderAuthError", "data": {"message": "no key"}}, AuthError),
        ({"name": "ContextOverflowError", "data": {"message": "long"}}, ContextLimitError),
        ({"name": "UnknownError", "data": {"message": "Model not found: a/b."}}, ModelError),
        ({"name": "UnknownError", "data": {"message": "usage limit reached"}}, ProviderError),
        ({}, ProviderError),
        ({"name": 3, "data": []}, ProviderError),
    ],
)
def test_class_follows_from_the_facts(error: dict[str, Any], kind: type[ProviderError]) -> None:
    assert type(turn_error(error)) is kind


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "", "rate"),
        (429, "insufficient_quota", "usage"),
        (402, "", "usage"),
        (503, "", "overloaded"),
        (529, "", "overloaded"),
    ],
)
def test_limits_say_which_one_it_is(status: int, code: str, kind: str) -> None:
    error = turn_error(_api(status, code=code))
    assert isinstance(error, LimitError)
    assert (error.kind, error.resets_at) == (kind, None)


def test_end_of_a_limit_is_what_the_service_stated() -> None:
    said = _api(429)
    said["data"]["responseHeaders"] = {"retry-after": "90"}
    error = turn_error(said)
    assert isinstance(error, LimitError)
    assert error.resets_at
    assert abs(error.resets_at - datetime.now(UTC) - timedelta(seconds=90)) < timedelta(seconds=30)
    assert error.source == "retry-after"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Too Many Requests", "rate"),
        ("Rate limit reached for requests", "rate"),
        ("Provider is overloaded", "overloaded"),
        ("You exceeded your current quota", "usage"),
    ],
)
def test_words_before_a_retry_tell_a_limit(message: str, kind: str) -> None:
    error = retries_used_up(Retry(message, 3, 8.0))
    assert isinstance(error, LimitError)
    assert (error.kind, error.resets_at) == (kind, None)


def test_plan_limit_is_told_by_opencodes_own_action() -> None:
    error = retries_used_up(Retry("enough for today", 1, 3600.0, is_plan_limit=True))
    assert isinstance(error, LimitError)
    assert error.kind == "usage"
    assert error.resets_at
    assert error.resets_at > datetime.now(UTC) + timedelta(minutes=50)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("Cannot connect to API: closed", ConnectionFailedError), ("boom", ProviderError)],
)
def test_other_reasons_to_retry(message: str, kind: type[ProviderError]) -> None:
    assert type(retries_used_up(Retry(message, 3, None))) is kind
