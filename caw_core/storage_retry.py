"""How often a storage that fails is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import attrs

from caw_core.errors import ConfigError, StorageError

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class StorageRetry:
    """How often a storage is tried that is down for a moment, as while its server starts again.

    Only what may pass is tried again: a `StorageError` or an `OSError`. Damaged records and
    sessions of somebody else's are told at once. Between attempts the waiting time doubles.

    Attributes:
        attempts: how often in all; 1 for never again.
        wait: how long before the second attempt, in seconds.
    """

    attempts: int = 3
    wait: float = 0.2

    def __attrs_post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            msg = f"StorageRetry.attempts is a whole number, not {self.attempts!r}"
            raise ConfigError(msg)
        if self.attempts < 1 or not 0 <= self.wait <= _LONGEST:
            msg = f"StorageRetry needs at least one attempt and a wait from 0 to {_LONGEST} s"
            raise ConfigError(msg)

    def call(self, call: Callable[[int], T]) -> T:
        """Return what *call* returns; it is given the number of the attempt, from 1.

        Raises:
            Exception: what the last attempt raised.
        """
        for attempt in range(1, self.attempts):
            try:
                return call(attempt)
            except (StorageError, OSError):
                time.sleep(self.wait * 2 ** (attempt - 1))
        return call(self.attempts)


_LONGEST = 60.0

ONCE = StorageRetry(attempts=1)
"""Never again."""
