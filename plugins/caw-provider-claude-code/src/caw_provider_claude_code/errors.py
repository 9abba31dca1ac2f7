"""From claude's errors to caw's.

What each HTTP status leads to was observed with claude 2.1.197: the ``error`` of the ``assistant``
line, and ``api_error_status`` and ``terminal_reason`` of the ``result`` line. They are asked first;
the text is only passed on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    NotResumableError,
    ProcessError,
    ProviderError,
)
from caw_core.events import Notice, TurnEnded
from caw_core.json_fields import mapping, number, objects, strings, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.events import Event
    from caw_core.trajectory import StopReason
    from caw_provider_claude_code.decoder import TurnDecoder

NAME: Final = "claude_code"

_AUTH_HINT: Final = "Log in by starting claude once, or set ANTHROPIC_API_KEY."
_STOPS: Final[dict[str, StopReason]] = {
    "max_output_tokens": "max_tokens",
    "refusal": "refusal",
}
_OVERLOADED: Final = frozenset({503, 529})
_FORBIDDEN: Final = frozenset({401, 403})
_TOO_MANY: Final = 429
_NOT_FOUND: Final = 404


def turn_end(decoder: TurnDecoder, *, interrupted: bool) -> list[Event]:
    """Return the events that end the turn as its ``result`` line says.

    Args:
        decoder: what has decoded the turn.
        interrupted: whether claude was asked to end it.

    Raises:
        ProviderError: the turn failed, as precise a subclass as the facts allow.
    """
    result = decoder.result or {}
    broken_off = interrupted and text(result, "subtype") == "error_during_execution"
    if broken_off or text(result, "terminal_reason").startswith("aborted"):
        return [TurnEnded(stop_reason="cancelled")]
    if text(result, "subtype") == "error_max_turns":
        return [TurnEnded(stop_reason="max_turn_requests")]
    if text(result, "subtype") == "error_max_structured_output_retries":
        # The answer in words is there, and the core asks again.
        return [Notice(message=_said(decoder), level="warning"), TurnEnded()]
    if result.get("is_error") is not True:
        cut_off = text(result, "stop_reason") == "max_tokens"
        return [TurnEnded(stop_reason="max_tokens" if cut_off else "end_turn")]
    kind = text(decoder.error, "error")
    stop = _STOPS.get(text(result, "stop_reason")) or _STOPS.get(kind)
    if stop is not None:
        return [Notice(message=_said(decoder), level="warning"), TurnEnded(stop_reason=stop)]
    raise _failure(decoder, kind)


def _failure(decoder: TurnDecoder, kind: str) -> ProviderError:
    result = decoder.result or {}
    status, message = number(result, "api_error_status"), _said(decoder)
    if text(result, "terminal_reason") == "prompt_too_long":
        return ContextLimitError(message, provider=NAME)
    if kind in ("authentication_failed", "oauth_org_not_allowed") or status in _FORBIDDEN:
        return AuthError(f"{message}. {_AUTH_HINT}", provider=NAME)
    limit = _limit(decoder.rate_limit, kind, status)
    if limit is not None:
        limit_kind, ends, source = limit
        return LimitError(message, kind=limit_kind, resets_at=ends, source=source, provider=NAME)
    if kind == "model_not_found" or (status == _NOT_FOUND and kind != "invalid_request"):
        return ModelError(message, model=decoder.model, provider=NAME)
    if kind == "server_error" and status is None:
        return ConnectionFailedError(message, provider=NAME)
    return ProviderError(message, provider=NAME)


def _limit(
    rate_limit: dict[str, JSON], kind: str, status: int | None
) -> tuple[str, datetime | None, str] | None:
    if status in _OVERLOADED or kind == "overloaded":
        return "overloaded", None, "api_error_status"
    if kind == "billing_error":
        return "usage", None, "assistant.error"
    if kind != "rate_limit" and status != _TOO_MANY:
        return None
    if text(rate_limit, "status") == "rejected":
        return "usage", _moment(number(rate_limit, "resetsAt")), "rate_limit_event"
    return "rate", None, "api_error_status"


def _moment(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _said(decoder: TurnDecoder) -> str:
    result = decoder.result or {}
    blocks = objects(mapping(decoder.error, "message"), "content")
    said = [text(block, "text") for block in blocks] + [text(result, "result")]
    said += strings(result, "errors")
    return next((words for words in said if words), "claude gave no reason")


def start_failure(error: ProcessError, result: dict[str, JSON]) -> ProviderError:
    """Return the error for a claude that ended before it was ready.

    Args:
        error: how it ended.
        result: the ``result`` line that it wrote before, or an empty object.
    """
    said = [*strings(result, "errors"), error.stderr_tail]
    if any("No conversation found" in words for words in said):
        return gone(next(words.strip() for words in said if "No conversation found" in words))
    return error.again(NAME)


def gone(said: str) -> NotResumableError:
    """Return the error for a conversation that claude does not have."""
    msg = (
        f"claude does not have the conversation: {said}. It keeps conversations in the folder "
        "'projects' of CLAUDE_CONFIG_DIR (by default ~/.claude) and deletes old ones."
    )
    return NotResumableError(msg, provider=NAME)
