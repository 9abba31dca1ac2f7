"""How a blocking call becomes awaitable, once for everything."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def deliver(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: Any) -> bool:
    """Have a loop call something, from another thread; False if the loop is closed."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False
    return True


async def call_in_thread(
    call: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Await a blocking call that runs in a thread of its own.

    Not `asyncio.to_thread`: its pool is small (processors + 4), and long turns would fill it. When
    the awaiting task is cancelled, the call goes on and its result is dropped.
    """
    return await call_or_discard(functools.partial(call, *args, **kwargs), lambda _: None)


async def call_or_discard(call: Callable[[], T], discard: Callable[[T], object]) -> T:
    """Do as `call_in_thread`; a result that nobody awaits any more is given to *discard*."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            deliver(loop, fail, error)
        else:
            if not deliver(loop, succeed, value):
                discard(value)

    def fail(error: BaseException) -> None:
        if isinstance(error, StopIteration):
            # No future takes it before Python 3.12, and whoever awaits would wait for ever.
            cause, error = error, RuntimeError("the call raised StopIteration")
            error.__cause__ = cause
        if not future.done():
            future.set_exception(error)

    def succeed(value: T) -> None:
        if not future.done():
            future.set_result(value)
        else:
            # Getting rid of it may take a while, and this is the loop's thread.
            threading.Thread(target=discard, args=(value,), name="caw-discard", daemon=True).start()

    threading.Thread(target=run, name="caw-call", daemon=True).start()
    return await future
