"""A blocking call that may not take for ever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from caw_core.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def call_within(
    seconds: float | None,
    kind: str,
    call: Callable[[], T],
    discard: Callable[[T], object],
) -> T:
    """Return what *call* returns, or give up on it.

    Args:
        seconds: how long it may take; None for any time.
        kind: the deadline's name.
        call: runs in a thread of its own.
        discard: is given a result that came too late.

    Raises:
        DeadlineError: it took longer.
    """
    done = threading.Event()
    lock = threading.Lock()
    results: list[T] = []
    errors: list[BaseException] = []
    given_up = False

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            errors.append(error)
        else:
            with lock:
                late = given_up
                results.append(value)
            if late:
                discard(value)
        done.set()

    threading.Thread(target=run, name=f"caw-{kind}", daemon=True).start()
    finished = False
    try:
        finished = done.wait(seconds)
    finally:
        if not finished:
            with lock:
                given_up = True
            # It came in the moment between the last look and giving up.
            for value in results:
                discard(value)
    if not finished:
        raise DeadlineError(kind, seconds or 0, hint=f"Set Deadlines({kind}=…) to allow more.")
    if errors:
        raise errors[0]
    return results[0]
