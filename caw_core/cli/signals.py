"""SIGTERM and SIGHUP as exceptions, so that what is open is closed before the process ends."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class TerminatedError(BaseException):
    """The process was asked to end; not an `Exception`, so that nothing handles it on the way.

    Attributes:
        signum: the signal's number.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)


@contextlib.contextmanager
def raising_on_termination() -> Iterator[None]:
    """Raise `TerminatedError` in the main thread at the first SIGTERM or SIGHUP; ignore others."""
    names = ("SIGTERM", "SIGHUP")
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def terminate(signum: int, _: FrameType | None) -> None:
        # Closing is bounded in time, and a second signal must not cut it short.
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise TerminatedError(signum)

    before = {each: signal.getsignal(each) for each in signals}
    for each, handler in before.items():
        # What nohup set stays.
        if handler is not signal.SIG_IGN:
            signal.signal(each, terminate)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
