"""What the exit codes mean: the one table, for the program, its help and the documentation."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from caw_core.errors import (
    AmbiguousProviderError,
    AuthError,
    BudgetError,
    ConfigError,
    DeadlineError,
    LimitError,
    NotReadyError,
    PluginError,
    ProgramNotFoundError,
    SessionBusyError,
    StorageError,
    TrajectoryError,
    TurnInterruptedError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

OK = 0
FAILED = 1
USAGE = 2
NOT_READY = 3
LIMIT = 4
DEADLINE = 5
STORAGE = 6
BUSY = 7
INTERRUPTED = 130
READER_GONE = 141
SIGNAL = 128

MEANINGS: Mapping[int, str] = {
    OK: "done",
    FAILED: "the turn failed, nothing is ready (caw doctor), or a plugin failed its check",
    USAGE: "the command line or an option is wrong, or there is no such session",
    NOT_READY: "the provider is not installed, broken, not logged in, or lacks its program",
    LIMIT: "the service refuses for now (rate, quota, capacity), or the budget is used up",
    DEADLINE: "a deadline passed",
    STORAGE: "a record could not be read or written",
    BUSY: "another process has the session open",
    INTERRUPTED: "interrupted with Ctrl-C",
    READER_GONE: "whoever read the output stopped reading",
    SIGNAL + 15: "ended by SIGTERM (128 + the signal's number)",
}

# The first class that fits decides, so a class stands before its bases.
_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (
        (
            UnknownProviderError,
            AmbiguousProviderError,
            NotReadyError,
            PluginError,
            ProgramNotFoundError,
            AuthError,
        ),
        NOT_READY,
    ),
    ((LimitError, BudgetError), LIMIT),
    (DeadlineError, DEADLINE),
    ((StorageError, TrajectoryError), STORAGE),
    (SessionBusyError, BUSY),
    ((KeyboardInterrupt, TurnInterruptedError), INTERRUPTED),
    (ConfigError, USAGE),
    (BrokenPipeError, READER_GONE),
)


def exit_code_for(error: BaseException) -> int:
    """Return the exit code that *error* stands for; `FAILED` for anything not in the table."""
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return READER_GONE
    return FAILED
