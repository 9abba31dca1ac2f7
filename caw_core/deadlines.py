"""How long things may take, and how much of that is left."""

from __future__ import annotations

import math
import time
from typing import Any

import attrs

from caw_core.errors import ConfigError, DeadlineError


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None and attribute.name != "stop":
        return
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        msg = f"Deadlines.{attribute.name} must be a positive number of seconds, not {value!r}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class Deadlines:
    """Limits in seconds; None means no limit. Whichever passes is named in `DeadlineError.kind`.

    Attributes:
        start: from asking a provider for a session until it is there.
        first_event: from sending a prompt until the agent shows any sign of life.
        idle: between two signs of life in a turn; a long silent build counts, so it is generous.
        turn: one whole turn. It also bounds an agent that retries without end.
        stop: for each step of stopping something: asking, closing, terminating, killing.
    """

    start: float | None = attrs.field(default=60.0, validator=_check_seconds)
    first_event: float | None = attrs.field(default=300.0, validator=_check_seconds)
    idle: float | None = attrs.field(default=1800.0, validator=_check_seconds)
    turn: float | None = attrs.field(default=4 * 3600.0, validator=_check_seconds)
    stop: float = attrs.field(default=2.0, validator=_check_seconds)


class Deadline:
    """A limit that began to run when this was made, for something of several steps.

    Args:
        kind: its name in errors, as in `Deadlines`.
        seconds: how long everything together may take; None for as long as it takes.
        provider: the provider's name, for errors.
    """

    def __init__(self, kind: str, seconds: float | None, *, provider: str = "") -> None:
        self.kind = kind
        self.seconds = seconds
        self.provider = provider
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """The seconds that are left, or None; a little more than 0 when the time is over."""
        # As a socket's time-out, 0 would mean not to wait at all.
        return None if self._end is None else max(0.001, self._end - time.monotonic())

    def error(self, hint: str) -> DeadlineError:
        """Return the error for its passing; *hint* says what was waited for."""
        return DeadlineError(self.kind, self.seconds or 0.0, provider=self.provider, hint=hint)
