"""The HTTP server of this process: one thread and one port on loopback for all lanes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from caw_core.errors import SessionStateError

if TYPE_CHECKING:
    from caw_core.mcp import McpServer
    from caw_tools.lane import Lane

log = logging.getLogger("caw.tools")

HOST: Final = "127.0.0.1"

START_SECONDS: Final = 30.0
"""How long the beginning of a lane is waited for."""

STOP_SECONDS: Final = 5.0
"""How long the end of a lane or of the server is waited for."""


class _Protocol(H11Protocol):
    """HTTP without lines in the log of the user's own servers, which may use uvicorn as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class _Config(uvicorn.Config):
    def configure_logging(self) -> None:
        """Leave the logging of uvicorn as the user's program has it."""


class _Server(uvicorn.Server):
    """A server that ends when it is told to, and does not look for that ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_end = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end."""
        await self.on_tick(0)
        await self.told_to_end.wait()


class LaneServer:
    """Serves lanes from a thread of its own, from its making until `stop`."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)
        # asyncio sets TCP_NODELAY only where the protocol is named; without it a call takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind((HOST, 0))
        self._host = f"{HOST}:{self._socket.getsockname()[1]}"
        config = _Config(
            self._answer,
            loop="asyncio",
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,  # it would be that of the beginning
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="caw-tools", daemon=True)
        self._thread.start()

    @property
    def is_empty(self) -> bool:
        """Whether it has no lane."""
        return not self._lanes

    def open(self, lane: Lane) -> McpServer:
        """Serve *lane*; return what an agent needs to use it.

        Raises:
            SessionStateError: it is called on the thread that serves, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            msg = (
                "an async tool cannot block, and serving tools does: await the call's twin "
                "(…_async), or make the tool a plain function"
            )
            raise SessionStateError(msg)
        path = f"/{next(self._numbers)}"
        self._call(self._open(path, lane)).result(START_SECONDS)
        return lane.at(f"http://{self._host}{path}")

    def close(self, lane: Lane) -> None:
        """Serve *lane* no longer, and cancel its calls."""
        self._lanes = {path: other for path, other in self._lanes.items() if other is not lane}
        ended = self._call(self._end(lane))
        # A tool may end its own session, on the thread that would have to do it.
        if threading.current_thread() is not self._thread:
            with contextlib.suppress(TimeoutError):
                ended.result(STOP_SECONDS)

    def stop(self) -> None:
        """End the thread and free the port."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._server.told_to_end.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)

    def forget(self) -> None:
        """Free the port in a fork of the process, where the thread does not run."""
        self._socket.close()

    # ---------------------------------------------------------------------------- its thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._server.serve([self._socket]))
            self._loop.run_until_complete(self._end_tasks())
        except Exception:
            log.exception("the server of tools ended")
        finally:
            self._socket.close()
            self._loop.close()

    async def _end_tasks(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.wait(rest, timeout=STOP_SECONDS) if rest else None

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self, path: str, lane: Lane) -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(lane.serve(ready.set))
        self._lanes[path] = lane
        self._tasks[lane] = task
        await ready.wait()

    async def _end(self, lane: Lane) -> None:
        task = self._tasks.pop(lane, None)
        if task is None:
            return
        lane.finish()
        await task

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through to its lane, or refuse it; an ASGI application."""
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        lane = self._lanes.get(scope["path"])
        if _values(headers, b"host") != [self._host] or _values(headers, b"origin"):
            # A page in a browser that was led here by a name of its own (DNS rebinding).
            await _refuse(send, 403, [])
        elif not _has_token(_values(headers, b"authorization"), lane):
            await _refuse(send, 401, [(b"www-authenticate", b"Bearer")])
        elif lane is not None:
            # The token goes no further: what is behind may log what it gets.
            rest = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            await lane.answer({**scope, "headers": rest}, receive, send)


def _values(headers: Iterable[tuple[bytes, str]], wanted: bytes) -> list[str]:
    return [value for name, value in headers if name == wanted]


def _has_token(sent: list[str], lane: Lane | None) -> bool:
    # Where there is no such lane it takes as long to say no.
    token = lane.token if lane is not None else secrets.token_urlsafe()
    given = sent[0] if len(sent) == 1 else ""
    same = secrets.compare_digest(given.encode(), f"Bearer {token}".encode())
    return same and lane is not None


async def _refuse(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
