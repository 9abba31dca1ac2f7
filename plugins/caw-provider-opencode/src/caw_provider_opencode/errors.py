"""From opencode's errors to caw's.

The names are those of ``AssistantMessage.error`` in the schema that ``opencode serve`` gives at
``/doc`` (1.18.33); what each HTTP status leads to was observed with that version.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    ProtocolError,
    ProviderError,
)
from caw_core.json_fields import mapping, number, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.trajectory import StopReason

NAME: Final = "opencode"
INSTALL_HINT: Final = "Install it with: npm install -g opencode-ai"
ABORTED: Final = "MessageAbortedError"
OUTPUT_LENGTH: Final = "MessageOutputLengthError"
CONTENT_FILTER: Final = "ContentFilterError"

FINISHES: Final[dict[str, StopReason]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content-filter": "refusal",
}
"""What a message says of its end, as the reason why the turn stopped."""

_AUTH_HINT: Final = "Log in with `opencode auth login`, or set the key of the model's provider."
_AUTH_STATUSES: Final = frozenset({401, 403})
_NOT_FOUND_STATUS: Final = 404
_LIMIT_STATUSES: Final = {402: "usage", 429: "rate", 503: "overloaded", 529: "overloaded"}
_LONGEST_BACKOFF_SECONDS: Final = 31.0
"""opencode by itself waits 30 s at most; a longer wait was asked for by the service."""

_NO_MODEL: Final = "Model not found"
_NO_NETWORK: Final = (
    "Cannot connect to API",
    "Connection reset by server",
    "The socket connection was closed",
    "Unable to connect",
)
_USAGE_CODES: Final = frozenset({"insufficient_quota", "usage_limit_reached", "billing_error"})
_CONTEXT_CODES: Final = frozenset({"context_length_exceeded", "string_above_max_length"})
_RATE_WORDS: Final = re.compile(r"too.many.requests|rate.?limit|slow down|\b429\b", re.IGNORECASE)
_USAGE_WORDS: Final = re.compile(r"quota|usage (limit )?(exceeded|reached)|credit", re.IGNORECASE)
_LOAD_WORDS: Final = re.compile(r"overloaded|unavailable|exhausted", re.IGNORECASE)


@attrs.frozen
class Retry:
    """What opencode says before it tries again (``SessionStatus``): why, and when."""

    message: str
    attempt: int
    wait_seconds: float | None
    is_plan_limit: bool = False


def turn_error(error: dict[str, JSON], *, model: str = "") -> ProviderError:
    """Return the error that a turn failed with.

    Args:
        error: ``{"name", "data"}`` of the message, or of the event ``session.error``.
        model: the model that was asked.
    """
    data = mapping(error, "data")
    message = text(data, "message") or f"opencode gave no reason ({text(error, 'name')})"
    match text(error, "name"):
        case "ProviderAuthError":
            return AuthError(f"{message} {_AUTH_HINT}", provider=NAME)
        case "ContextOverflowError":
            return ContextLimitError(message, provider=NAME)
        case "APIError":
            return _api_error(data, message, model)
        case _ if message.startswith(_NO_MODEL):
            return ModelError(message, model=model, provider=NAME)
    return ProviderError(message, provider=NAME)


def _api_error(data: dict[str, JSON], message: str, model: str) -> ProviderError:
    status, code = number(data, "statusCode"), _code(text(data, "responseBody"))
    limit = "usage" if code in _USAGE_CODES else _LIMIT_STATUSES.get(status or 0)
    if limit:
        return _limit(data, message, limit)
    if status in _AUTH_STATUSES:
        return AuthError(f"{message} {_AUTH_HINT}", provider=NAME)
    if code == "model_not_found" or (status == _NOT_FOUND_STATUS and "model" in message.lower()):
        return ModelError(message, model=model, provider=NAME)
    if code in _CONTEXT_CODES:
        return ContextLimitError(message, provider=NAME)
    if status is None:
        return ConnectionFailedError(message, provider=NAME)
    return ProviderError(message, provider=NAME)


def _limit(data: dict[str, JSON], message: str, kind: str) -> LimitError:
    stated = text(mapping(data, "responseHeaders"), "retry-after")
    if not stated.isdecimal():
        return LimitError(message, kind=kind, source="APIError", provider=NAME)
    ends = _after(float(stated))
    return LimitError(message, kind=kind, resets_at=ends, source="retry-after", provider=NAME)


def _after(seconds: float) -> datetime | None:
    try:
        return datetime.now(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        # Nobody waits until after the year 9999.
        return None


def _code(body: str) -> str:
    """Return the code that a service gave with its error, ``""`` if it gave none."""
    try:
        error = mapping(json.loads(body), "error")
    except (ValueError, RecursionError):
        return ""
    return text(error, "code") or text(error, "type")


def retries_used_up(retry: Retry) -> ProviderError:
    """Return the error for a turn that is given up after too many attempts.

    opencode tells no status then, only the service's words or its own; so the class is as good
    as they are.
    """
    message = f"opencode tried {retry.attempt} times: {retry.message}"
    kind = _limit_kind(retry)
    if kind:
        wait = retry.wait_seconds or 0.0
        stated = wait > _LONGEST_BACKOFF_SECONDS
        return LimitError(
            message,
            kind=kind,
            resets_at=_after(wait) if stated else None,
            source="retry-after" if stated else "session.status",
            provider=NAME,
        )
    if retry.message.startswith(_NO_NETWORK):
        return ConnectionFailedError(message, provider=NAME)
    return ProviderError(message, provider=NAME)


def not_taken_up() -> ProviderError:
    """Return the error for a prompt that opencode answered with what it had said before.

    Seen with 1.18.33 when its server was killed between two turns and started again.
    """
    message = "opencode did not take the prompt up: it answered with what it had said before"
    return ProtocolError(message, provider=NAME)


def _limit_kind(retry: Retry) -> str:
    if retry.is_plan_limit or _USAGE_WORDS.search(retry.message):
        return "usage"
    if _RATE_WORDS.search(retry.message):
        return "rate"
    return "overloaded" if _LOAD_WORDS.search(retry.message) else ""
