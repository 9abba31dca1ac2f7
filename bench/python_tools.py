"""What tools in Python cost: opening them with a session, and calling one.

    python3 dev.py bench python_tools [--runs 50] [--json]

``alone`` is what a session with tools takes longer to open and to end than one without, when it is
the only one: the server begins and ends with it. ``beside another`` is the same while another
session has tools. A call is one of an agent's side, the official client over HTTP, on a connection
that it has; ``bare`` is the same call to the official server by itself, without tokens, lanes and
threads. The calls take turns. ``at once`` is eight calls of a function that sleeps for half a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn
from _report import Row, Target, arguments, report
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from caw_core.provider import StartRequest
from caw_core.tool_serving import GivenTools, ToolScope
from caw_tools import serve_tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

TOGETHER = 8
SECONDS = 0.5


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def wait() -> str:
    """Take a while."""
    time.sleep(SECONDS)
    return "done"


def opened() -> Any:
    """Open tools as a session does; what is returned is to be closed."""
    scope = ToolScope(provider="none", request=StartRequest(session_id="bench", cwd=Path.cwd()))
    return serve_tools(GivenTools(functions=(add, wait)), scope)


def open_and_close() -> None:
    """Do what a session with tools does besides."""
    opened().close()


@contextlib.contextmanager
def bare_server() -> Iterator[str]:
    """Run the official server by itself; return its address."""
    bare = MCPServer("bare", log_level="CRITICAL")
    bare.add_tool(add)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(bare.streamable_http_app(), log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        server.should_exit = True
        thread.join()


@contextlib.asynccontextmanager
async def connected(url: str, headers: Mapping[str, str]) -> AsyncIterator[Client]:
    """Connect as an agent does."""
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def calls(
    url: str, server: Any, runs: int
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Return what calls of ours and of the bare server take, and eight slow ones at once."""
    async with connected(server.url, server.headers) as ours, connected(url, {}) as bare:
        times: tuple[list[float], list[float]] = [], []
        for _ in range(runs):
            for client, taken in zip((ours, bare), times, strict=True):
                taken.append(await timed_async(lambda: client.call_tool("add", {"a": 1, "b": 2})))  # noqa: B023 - called at once
        slow = await timed_async(
            lambda: asyncio.gather(*(ours.call_tool("wait", {}) for _ in range(TOGETHER)))
        )
    return tuple(times[0]), tuple(times[1]), slow


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, runs=50)
    open_and_close()  # imports what it needs
    alone = tuple(timed(open_and_close) for _ in range(given.runs))
    kept = opened()
    beside = tuple(timed(open_and_close) for _ in range(given.runs))
    with bare_server() as url:
        ours, bare, slow = asyncio.run(calls(url, kept.servers[0], given.runs))
    kept.close()
    rows = [
        Row(name="a session's tools, alone", samples=alone),
        Row(name="a session's tools, beside another", samples=beside),
        Row(name="a call", samples=ours),
        Row(name="a call, bare", samples=bare),
        Row(name=f"{TOGETHER} calls of {SECONDS} s at once", samples=(slow,)),
    ]
    ratio = statistics.median(ours) / statistics.median(bare)
    report(
        "tools in Python",
        rows,
        [Target(name="a call beside bare", value=ratio)],
        as_json=given.json,
    )


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in milliseconds."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


async def timed_async(call: Callable[[], Awaitable[object]]) -> float:
    """Do as `timed`."""
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
