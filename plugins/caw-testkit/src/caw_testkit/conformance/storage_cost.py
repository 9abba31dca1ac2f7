"""What a call costs, counted and not timed, so that it is the same on every machine."""

from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import attrs

from caw_testkit.conformance.base import broken

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS = 2000
_MEMORY = 1 << 20
"""What may come and go for other reasons: a cache that is filled, a connection that is renewed."""


@attrs.frozen
class Cost:
    """What one call took.

    Attributes:
        calls: how many functions were called in its thread, Python's own and those in C.
        memory: how much memory Python's objects took at most meanwhile, in bytes.
    """

    calls: int
    memory: int


def cost_of(call: Callable[[], object]) -> Cost:
    """Count what *call* takes; it is made once before, so that connections and caches are there."""
    call()
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    profiler: Any = sys.getprofile()
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(profiler)
        _, peak = tracemalloc.get_traced_memory()
        if not tracing:
            tracemalloc.stop()
    return Cost(calls, peak - before)


def must_cost_the_same(small: Cost, large: Cost, *, what: str, advice: str) -> None:
    """Fail if a call took much more where there was more that does not concern it.

    Args:
        small: what it took where there was little.
        large: what it took where there was much.
        what: the two, for the message.
        advice: what the author should do.
    """
    if large.calls > 2 * small.calls + _CALLS:
        broken(f"{what}: {small.calls} calls, then {large.calls}.", advice)
    if large.memory > 2 * small.memory + _MEMORY:
        broken(f"{what}: {small.memory} bytes of memory, then {large.memory}.", advice)
