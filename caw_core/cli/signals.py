"""Signals as exceptions, so that what is open is closed before the process ends."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


_TERMINATION = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)


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

    def terminate(signum: int, _: FrameType | None) -> None:
        # Closing is bounded in time, and a second signal must not cut it short.
        for each in _TERMINATION:
            signal.signal(each, signal.SIG_IGN)
        raise TerminatedError(signum)

    before = {each: signal.getsignal(each) for each in _TERMINATION}
    for each, handler in before.items():
        # What nohup set stays.
        if handler is not signal.SIG_IGN:
            signal.signal(each, terminate)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C and termination that come meanwhile take effect at the end.

    Rich's live displays keep a state that an exception in their middle leaves broken.
    """
    arrived: list[int] = []

    def hold(signum: int, _: FrameType | None) -> None:
        arrived.append(signum)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, *_TERMINATION)}
    before = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for each in before:
            signal.signal(each, hold)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for signum in arrived:
            signal.raise_signal(signum)
