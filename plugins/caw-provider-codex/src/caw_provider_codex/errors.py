"""From codex's errors to caw's.

The kinds are those of ``CodexErrorInfo`` in codex's own schema; what each HTTP status leads to
was observed with codex 0.169.0.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from caw_core.errors import (
    AuthError,
    CawError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    NotResumableError,
    ProviderError,
    SessionBusyError,
)
from caw_core.json_fields import mapping, number, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_provider_codex.rpc import RpcError

NAME: Final = "codex"
MAX_PROMPT_CHARACTERS: Final = 1_048_576
"""codex's own limit per turn; it answers -32602 with ``max_chars`` beyond it."""

_SOURCE: Final = "codexErrorInfo"
_USED_UP: Final = 100
_LIMIT_KINDS: Final = {
    "rateLimitExceeded": "rate",
    "usageLimitExceeded": "usage",
    "sessionBudgetExceeded": "usage",
    "serverOverloaded": "overloaded",
    "flexUnavailable": "overloaded",
    "policyCapacityUnavailable": "overloaded",
}
_LIMIT_STATUSES: Final = {429: "rate", 503: "overloaded", 529: "overloaded"}
_AUTH_STATUSES: Final = frozenset({401, 403})
_USAGE_WORDS: Final = "You've hit your usage limit"
_STATUS_WORDS: Final = re.compile(r"^(?:exceeded retry limit, last|unexpected) status:? (\d{3})\b")
_KEY: Final = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|(?<=\bthread id )\S+|(?<=\bthread not found: )\S+|(?<=\bthread not loaded: )\S+"
    r"|(?<=\bthread )\S+(?= already has an active writer)",
    re.IGNORECASE,
)
_AUTH_HINT: Final = "Log in with `codex login`, or set the key that its configuration names."


def turn_error(
    error: dict[str, JSON], *, rate_limits: dict[str, JSON], model: str = ""
) -> ProviderError:
    """Return the error that a turn failed with.

    Args:
        error: codex's ``TurnError``.
        rate_limits: the account's limits, as codex reported them during the turn.
        model: the model that was asked.
    """
    message = text(error, "message") or "codex gave no reason"
    details = text(error, "additionalDetails")
    if details and details not in message:
        message = f"{message} ({details})"
    info = error.get("codexErrorInfo")
    if isinstance(info, dict):
        return _transport_error(info, message)
    known = _named_error(info, message, rate_limits, model)
    return known or _unnamed_error(message, model)


def exec_error(error: dict[str, JSON], *, model: str = "") -> ProviderError:
    """Return the error that a run of ``codex exec`` failed with; it has codex's words alone.

    Args:
        error: what codex printed.
        model: the model that was asked for.
    """
    message = text(error, "message") or "codex gave no reason"
    if message.startswith(_USAGE_WORDS):
        return LimitError(message, kind="usage", source="codex exec", provider=NAME)
    status = _STATUS_WORDS.search(message)
    if status:
        return _transport_error({"": {"httpStatusCode": int(status[1])}}, message)
    return _unnamed_error(message, model)


def resets_at(rate_limits: dict[str, JSON]) -> datetime | None:
    """Return when the limits that are used up end: the latest of them, None if nobody said."""
    ends = []
    for name in ("primary", "secondary"):
        window = mapping(rate_limits, name)
        if (number(window, "usedPercent") or 0) >= _USED_UP:
            ends.append(number(window, "resetsAt"))
    spending = mapping(rate_limits, "individualLimit")
    if number(spending, "remainingPercent") == 0:
        ends.append(number(spending, "resetsAt"))
    stated = [end for end in ends if end is not None]
    if not stated or len(stated) < len(ends):
        return None
    try:
        return datetime.fromtimestamp(max(stated), UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _named_error(
    info: JSON, message: str, rate_limits: dict[str, JSON], model: str
) -> ProviderError | None:
    if isinstance(info, str) and info in _LIMIT_KINDS:
        kind = _LIMIT_KINDS[info]
        ends = resets_at(rate_limits) if kind == "usage" else None
        source = "account/rateLimits/updated" if ends else _SOURCE
        return LimitError(message, kind=kind, resets_at=ends, source=source, provider=NAME)
    match info:
        case "unauthorized":
            return AuthError(f"{message} {_AUTH_HINT}", provider=NAME)
        case "modelNotFound":
            return ModelError(message, model=model, provider=NAME)
        case "contextWindowExceeded":
            return ContextLimitError(message, provider=NAME)
    return None


def _transport_error(info: dict[str, JSON], message: str) -> ProviderError:
    status = next((number(value, "httpStatusCode") for value in info.values()), None)
    if status in _AUTH_STATUSES:
        return AuthError(f"{message} {_AUTH_HINT}", provider=NAME)
    if status in _LIMIT_STATUSES:
        kind = _LIMIT_STATUSES[status]
        return LimitError(message, kind=kind, source=_SOURCE, provider=NAME)
    if status is None:
        return ConnectionFailedError(message, provider=NAME)
    return ProviderError(message, provider=NAME)


def _unnamed_error(message: str, model: str) -> ProviderError:
    # codex says no more than "other" here. A 400's body comes as it was; else only its own fixed
    # words tell. An error is at hand in any case, so a wrong guess costs the class alone.
    if message.startswith("Missing environment variable"):
        return AuthError(f"{message} {_AUTH_HINT}", provider=NAME)
    if message.startswith("stream disconnected before completion: Incomplete response"):
        return ProviderError(message, provider=NAME)
    if message.startswith("stream disconnected before completion"):
        return ConnectionFailedError(message, provider=NAME)
    try:
        body = mapping(json.loads(message), "error")
    except (ValueError, RecursionError):
        body = {}
    said = text(body, "message") or message
    match text(body, "code"):
        case "model_not_found":
            return ModelError(said, model=model, provider=NAME)
        case "context_length_exceeded":
            return ContextLimitError(said, provider=NAME)
    return ProviderError(said, provider=NAME)


def no_connection(reason: str) -> ConnectionFailedError:
    """Return the error for a service that codex cannot reach at all."""
    msg = f"codex cannot reach its model's service: {reason}"
    return ConnectionFailedError(msg, provider=NAME)


def prompt_too_long(characters: int, most: int = MAX_PROMPT_CHARACTERS) -> ContextLimitError:
    """Return the error for a prompt that codex would not take."""
    msg = (
        f"the prompt has {characters:,} characters, codex takes {most:,}. "
        "Put the text into a file in the session's folder and name the file in the prompt."
    )
    return ContextLimitError(msg, provider=NAME)


def refusal(error: RpcError) -> CawError:
    """Return caw's error for a request about a thread that codex refused.

    The thread's id, which codex names, is the resume key and so a secret: it is left out.
    """
    data = error.data if isinstance(error.data, dict) else {}
    if text(data, "input_error_code") == "input_too_large":
        most = number(data, "max_chars") or MAX_PROMPT_CHARACTERS
        return prompt_too_long(number(data, "actual_chars") or 0, most)
    message = without_key(error.message)
    if "already has an active writer" in message:
        msg = (
            f"codex: {message}. Another codex process has the conversation open. It lets go "
            "when that process ends, or up to 60 seconds after its client has left the thread."
        )
        return SessionBusyError(msg, holder="another codex process")
    gone = ("no rollout found", "invalid session id", "thread not found", "thread not loaded")
    if message.startswith(gone):
        msg = f"codex does not have the conversation: {message}"
        return NotResumableError(msg, provider=NAME)
    return ProviderError(f"codex: {message}", provider=NAME)


def without_key(message: str) -> str:
    """Return codex's *message* with a mark in place of each thread id."""
    return _KEY.sub("…", message)
