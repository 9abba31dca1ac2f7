"""The events of a running turn, for iteration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from caw_core.errors import SessionStateError
from caw_core.event_buffer import EventBuffer
from caw_core.turn_run import TurnRun
from caw_core.twins import deliver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType
    from typing import Self

    from caw_core.events import Event
    from caw_core.provider import Prompt
    from caw_core.session import Session
    from caw_core.session_core import SessionCore
    from caw_core.trajectory import Turn


def wait_for(run: TurnRun) -> Turn:
    """Wait for a turn's end; Ctrl-C interrupts the turn, waits for its end, and is raised then."""
    try:
        run.finished.wait()
    except BaseException:
        run.interrupt()
        run.finished.wait()
        raise
    return run.outcome()


def _end_of(run: TurnRun) -> asyncio.Event:
    import asyncio

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell() -> None:
        deliver(loop, ended.set)

    run.when_finished(tell)
    return ended


async def wait_for_async(run: TurnRun) -> Turn:
    """Do as `wait_for`; a cancelled task interrupts the turn and waits for its end."""
    import asyncio

    ended = _end_of(run)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        run.interrupt()
        # Bounded by the stop deadline; a second cancellation does not wait.
        await ended.wait()
        raise
    return run.outcome()


class TurnStream:
    """One running turn. Iterate over its events with ``for`` or ``async for``.

    Use it as a context manager (``with`` or ``async with``): leaving the block before the turn has
    ended interrupts it, and so does dropping the last reference to it. Iteration ends with the
    `caw_core.events.TurnEnded` event and then raises if the turn failed. A consumer that reads
    slowly slows the agent down; it does not fill memory. One reader at a time: whoever asks for
    the next event while another waits for it gets a `caw_core.errors.SessionStateError`.
    """

    def __init__(self, session: Session, core: SessionCore, prompt: Prompt) -> None:
        # Whoever holds only the stream still wants the session.
        self._session = session
        self._buffer = EventBuffer()
        self.run = TurnRun(core, prompt, self._buffer)

    @property
    def turn(self) -> Turn | None:
        """The turn as it is now; None while another turn of the session still runs."""
        return self.run.turn()

    def interrupt(self) -> None:
        """End the turn early, from any thread; iteration then comes to its end."""
        self.run.interrupt()

    def result(self) -> Turn:
        """Drop the remaining events, wait for the end and return the turn.

        Raises:
            CawError: as `Session.send` does.
        """
        self._buffer.discard()
        return wait_for(self.run)

    async def result_async(self) -> Turn:
        """Do as `result`."""
        self._buffer.discard()
        return await wait_for_async(self.run)

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they come."""
        while (event := self._next()) is not None:
            yield event
        wait_for(self.run)

    def _next(self) -> Event | None:
        try:
            return self._buffer.get()
        except SessionStateError:
            raise
        except BaseException:
            self.close()
            raise

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield the events as they come."""
        while (event := await self._next_async()) is not None:
            yield event
        await wait_for_async(self.run)

    async def _next_async(self) -> Event | None:
        try:
            return await self._buffer.get_async()
        except SessionStateError:
            raise
        except BaseException:
            await self.close_async()
            raise

    def close(self) -> None:
        """Interrupt the turn if it still runs, and wait for its end; raises nothing of the turn."""
        self._buffer.discard()
        self.run.interrupt()
        self.run.finished.wait()

    async def close_async(self) -> None:
        """Do as `close`."""
        self._buffer.discard()
        self.run.interrupt()
        await _end_of(self.run).wait()

    def __del__(self) -> None:
        # Nobody can read it any more: without this, a dropped stream would fill its buffer and
        # block every later turn of the session.
        if hasattr(self, "run") and not sys.is_finalizing():
            self._buffer.discard()
            self.run.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close_async()
