"""Directives: lines of a prompt that tell the echo what to do besides repeating.

Nothing here waits, runs or keeps anything: `steps_of` reads a prompt, `error_of` makes an error.
"""

from __future__ import annotations

import json
import math
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast, get_args

import attrs

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    ProcessError,
    ProtocolError,
    ProviderError,
)
from caw_core.trajectory import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS = frozenset(
    {
        "ask",
        "calls",
        "cwd",
        "exit",
        "fail",
        "history",
        "json",
        "notice",
        "plan",
        "request",
        "slow",
        "stop",
        "system",
        "think",
        "tool",
        "tool-error",
        "vendor",
    },
)
"""Every directive; a line that begins with ``!`` and another word is ordinary text."""

LIMIT_KINDS = frozenset({"rate", "usage", "overloaded"})

_ERRORS: dict[str, Callable[[str], Exception]] = {
    "auth": AuthError,
    "connection": ConnectionFailedError,
    "context": ContextLimitError,
    "crash": RuntimeError,
    "error": ProviderError,
    "model": ModelError,
    "process": lambda message: ProcessError(message, exit_code=1, stderr_tail="echo: failed\n"),
    "protocol": ProtocolError,
}


@attrs.frozen(kw_only=True)
class Step:
    """One thing to do: ``word`` is a directive's name, or ``""`` for text to repeat."""

    word: str
    rest: str


def steps_of(prompt: str) -> Iterator[Step]:
    """Read *prompt*: its directives in order, and all its other lines together as one step.

    The text comes where its last line stands, so that directives after it happen after it.
    """
    lines = prompt.split("\n")
    directives = [_directive(line) for line in lines]
    text_ends = max((at for at, step in enumerate(directives) if step is None), default=-1)
    text = "\n".join(line for line, step in zip(lines, directives, strict=True) if step is None)
    for at, step in enumerate(directives):
        if step is not None:
            yield step
        elif at == text_ends and (text or len(lines) == 1):
            yield Step(word="", rest=text)


def _directive(line: str) -> Step | None:
    if not line.startswith("!"):
        return None
    word, _, rest = line[1:].partition(" ")
    return Step(word=word, rest=rest.strip()) if word in WORDS else None


def error_of(rest: str) -> Exception:
    """Make the error that ``!fail`` names.

    :param rest: ``KIND``, for a limit optionally followed by the time at which it ends (ISO 8601
        with offset): ``usage 2030-01-01T00:00:00+00:00``.
    :return: the error to raise; a `ProviderError` about the directive if *rest* names none.
    """
    kind, _, when = rest.partition(" ")
    message = f"the prompt asked for a failure of kind {kind!r}"
    if kind == "limit" or kind in LIMIT_KINDS:
        try:
            resets_at = datetime.fromisoformat(when) if when else None
        except ValueError:
            resets_at = None
        if when and (resets_at is None or resets_at.tzinfo is None):
            return ProviderError(f"!fail {kind} takes a time in ISO 8601 with offset, not {when!r}")
        limit_kind = "usage" if kind == "limit" else kind
        return LimitError(message, kind=limit_kind, resets_at=resets_at, source="!fail")
    make = _ERRORS.get(kind)
    if make is None:
        known = ", ".join(sorted({*_ERRORS, *LIMIT_KINDS, "limit"}))
        return ProviderError(f"!fail knows no kind {kind!r}. Known: {known}")
    return make(message)


def count_of(rest: str) -> int:
    """Read the number of ``!calls``.

    :raises ProviderError: *rest* is no whole number above 0.
    """
    if not rest.isdecimal() or not int(rest):
        message = f"!calls needs a whole number above 0, not {rest!r}"
        raise ProviderError(message)
    return int(rest)


def json_of(rest: str) -> Any:
    """Read the value of ``!json``.

    :raises ProviderError: *rest* is not JSON.
    """
    try:
        return json.loads(rest)
    except ValueError as error:
        message = f"!json needs a JSON value, not {rest!r}: {error}"
        raise ProviderError(message) from error


def seconds_of(rest: str) -> float:
    """Read the seconds of ``!slow``.

    :raises ProviderError: *rest* is no number of seconds that a thread can wait.
    """
    try:
        seconds = float(rest)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        message = f"!slow needs a number of seconds, not {rest!r}"
        raise ProviderError(message)
    return seconds


def stop_reason_of(rest: str) -> StopReason:
    """Read the reason of ``!stop``.

    :raises ProviderError: there is no stop reason *rest*.
    """
    if rest not in get_args(StopReason):
        message = f"!stop needs one of {', '.join(get_args(StopReason))}, not {rest!r}"
        raise ProviderError(message)
    return cast("StopReason", rest)


def name_json_and_rest(rest: str) -> tuple[str, Any, str]:
    """Split ``NAME {json} text`` into its parts; the JSON may be missing and is then None.

    :raises ProviderError: what follows the name is not JSON.
    """
    name, _, tail = rest.partition(" ")
    tail = tail.strip()
    if not tail or tail.startswith("=>"):
        return name, None, tail
    try:
        value, end = json.JSONDecoder().raw_decode(tail)
    except ValueError as error:
        message = f"the directive for {name!r} needs JSON after the name: {error}"
        raise ProviderError(message) from error
    return name, value, tail[end:].strip()
