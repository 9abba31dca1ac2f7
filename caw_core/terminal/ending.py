"""Ending what another thread waits for."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Ending:
    """Lets one thread end what another one is in, whichever comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._end: Callable[[], object] | None = None

    def ask(self) -> None:
        """End it, or let it end as soon as it begins."""
        with self._lock:
            self._wanted = True
            if self._end is not None:
                self._end()

    @contextlib.contextmanager
    def calls(self, end: Callable[[], object]) -> Iterator[None]:
        """Have *end* called when the ending is asked for, at once if it has been."""
        with self._lock:
            self._end = end
            if self._wanted:
                end()
        try:
            yield
        finally:
            with self._lock:
                self._end = None
