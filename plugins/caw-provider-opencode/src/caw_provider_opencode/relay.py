"""A way to a server on loopback that knows when somebody has begun to listen to its events.

opencode's interface (1.18.33, observed) shows what it is told of while it listens, and never asks
for what it missed: not for a permission that was requested a moment before. opencode itself does
not tell that it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK: Final = 65536
_EVENTS: Final = re.compile(rb"^GET [^ ?]*/event[? ]", re.MULTILINE)


class Relay:
    """Passes connections on as they are. Use it as a context manager.

    Args:
        port: the server's port.
        on_listening: called once, when the first listener has got an answer; in a thread of the
            relay's, which must not be blocked.

    Attributes:
        port: the port to use in place of the server's.
    """

    def __init__(self, port: int, on_listening: Callable[[], None]) -> None:
        # From here on it can be connected to, whenever the loop gets to it.
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._to = port
        self._on_listening = on_listening
        self._told = False
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="caw-opencode-relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            # What is open then is cancelled as the runner ends.
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass_on, sock=self._listener)
        await self._over.wait()
        server.close()

    async def _pass_on(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, on = await asyncio.open_connection("127.0.0.1", self._to)
            asked = asyncio.Event()
            ways = [
                asyncio.ensure_future(self._requests(here, on, asked)),
                asyncio.ensure_future(self._answers(there, back, asked)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                on.close()
        back.close()

    @staticmethod
    async def _requests(
        here: asyncio.StreamReader, on: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await here.read(_CHUNK):
            if _EVENTS.search(data):
                asked.set()
            on.write(data)
            await on.drain()

    async def _answers(
        self, there: asyncio.StreamReader, back: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await there.read(_CHUNK):
            back.write(data)
            await back.drain()
            if asked.is_set() and not self._told:
                self._told = True
                self._on_listening()
