"""What a fork's child does first: locks that other threads of the parent held stay locked there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Somebody whose locks, and what they guard, are the parent's after a fork."""

    def after_fork(self) -> None:
        """Begin anew, in the child, while it has one thread."""


def tell_of_forks(aware: ForkAware) -> None:
    """Have `ForkAware.after_fork` called in each child, for as long as somebody holds *aware*."""
    _aware.add(aware)


_aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_aware):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
