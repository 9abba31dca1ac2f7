"""What a run of opencode says in its log and in no line: why it tries again. No I/O.

``opencode run`` itself is silent about it, and by itself opencode never gives up. The entries are
those of opencode 1.18.33, written to stderr with ``--print-logs``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, text
from caw_provider_opencode.errors import Retry

if TYPE_CHECKING:
    from caw_core.blocks import JSON

LOG_FLAGS: Final = ("--print-logs", "--log-level=ERROR")

_FAILED: Final = re.compile(
    r'^timestamp=(?P<time>\S+) .*? message="stream error" .*?error\.error="(?:AI_\w+: )?'
    r'(?P<why>(?:[^"\\]|\\.)*)"',
    re.MULTILINE,
)
_NO_MODEL: Final = re.compile(r'Model not found: [^"\n]+')


class RunLog:
    """Counts the attempts that failed, from looks at the log in the course of a run."""

    def __init__(self) -> None:
        self._failed: dict[str, str] = {}
        self._seen = 0
        self._told = 0

    def look(self, log: str) -> list[Retry]:
        """Return the attempts that were known to have failed at the last look and are not told yet.

        One that ends the turn is told by the turn's own error, a moment later.

        Args:
            log: the end of what was written to stderr.
        """
        for found in _FAILED.finditer(log):
            self._failed.setdefault(found["time"], found["why"])
        reasons = list(self._failed.values())
        news = range(self._told, self._seen)
        self._told, self._seen = self._seen, len(reasons)
        return [Retry(reasons[number], number + 1, None) for number in news]


def explained(error: dict[str, JSON], log: str) -> dict[str, JSON]:
    """Return an error of a run, with what the log says where the error itself says nothing.

    For a model that it does not have, opencode 1.18.33 prints no more than a reference to its log.
    """
    found = _NO_MODEL.search(log) if text(mapping(error, "data"), "ref") else None
    return {**error, "data": {"message": found[0]}} if found else error
