"""Calls: how many run at once, and how they are cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest

from caw_tools import ToolContext, ToolKit, tool
from caw_tools.calls import Calls
from caw_tools.one_at_a_time import OneAtATime
from caw_tools.signature import PythonTool

from .client import text_of
from .conftest import run

if TYPE_CHECKING:
    from mcp import Client

    from .conftest import Ask, Serve

WAIT = 60.0


def all_at_once(serve: Serve, source: Any, names: list[str]) -> list[Any]:
    functions, servers = ((source,), ()) if not isinstance(source, ToolKit) else ((), (source,))
    [server] = serve(*functions, servers=servers).servers

    async def use(client: Client) -> list[Any]:
        return await asyncio.gather(*(client.call_tool(name, {}) for name in names))

    return [result.content[0].text for result in run(server, use)]


def test_blocking_tools_run_at_once_and_leave_the_loop_free(serve: Serve) -> None:
    barrier = threading.Barrier(40)

    def meet() -> str:
        barrier.wait(WAIT)
        return "met"

    assert all_at_once(serve, meet, ["meet"] * 40) == ["met"] * 40


class Counter(ToolKit):
    """Counts how many of its calls run at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    @tool
    def blocking(self) -> str:
        """Be inside for a moment, in a thread."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.01)
        self.inside -= 1
        return "ok"

    @tool
    async def waiting(self) -> str:
        """Be inside for a moment, on the loop."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1
        return "ok"


def test_calls_of_a_kit_run_one_after_another_sync_and_async(serve: Serve) -> None:
    kit = Counter()
    assert all_at_once(serve, kit, ["blocking", "waiting"] * 10) == ["ok"] * 20
    assert kit.most == 1


class Meeting(ToolKit, thread_safe=True):
    """Has tools that need each other."""

    def __init__(self) -> None:
        self.come = threading.Event()

    @tool
    def wait(self) -> bool:
        """Wait for the other one."""
        return self.come.wait(WAIT)

    @tool
    async def arrive(self) -> str:
        """Let the other one go on."""
        self.come.set()
        return "ok"


def test_calls_of_a_thread_safe_kit_run_at_once(serve: Serve) -> None:
    assert all_at_once(serve, Meeting(), ["wait", "arrive"]) == ["true", "ok"]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("who", ["the agent", "the core"])
def test_cancelled_call_ends_and_the_tool_hears_of_it(
    serve: Serve, kind: str, who: Literal["the agent", "the core"]
) -> None:
    begun, heard = threading.Event(), threading.Event()

    def sync_tool(ctx: ToolContext) -> None:
        begun.set()
        if ctx.wait_cancelled(WAIT) and ctx.cancelled:
            heard.set()

    async def async_tool(ctx: ToolContext) -> None:
        begun.set()
        try:
            await asyncio.sleep(WAIT)
        finally:
            # What cleans up may wait, as in any task.
            await asyncio.sleep(0)
            if ctx.cancelled:
                heard.set()

    tools = serve(sync_tool, async_tool)

    async def use(client: Client) -> Any:
        call = asyncio.create_task(client.call_tool(f"{kind}_tool", {}))
        await asyncio.to_thread(begun.wait, WAIT)
        assert tools.running
        if who == "the core":
            tools.cancel_calls()
            return text_of(await call)
        call.cancel()
        await asyncio.wait([call])
        return "error: the call was cancelled"

    assert run(tools.servers[0], use) == "error: the call was cancelled"
    assert heard.wait(WAIT)


class Deaf(ToolKit):
    """A kit with a tool that nothing but `go` ends, and one that tells whether it runs."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.inside = False

    @tool
    def first(self) -> None:
        self.inside = True
        self.begun.set()
        self.go.wait(WAIT)
        self.inside = False

    @tool
    async def second(self) -> bool:
        return self.inside


def test_next_call_of_a_kit_waits_for_a_cancelled_thread(serve: Serve) -> None:
    kit = Deaf()
    tools = serve(servers=(kit,))

    async def use(client: Client) -> str:
        first = asyncio.create_task(client.call_tool("first", {}))
        await asyncio.to_thread(kit.begun.wait, WAIT)
        first.cancel()
        second = asyncio.create_task(client.call_tool("second", {}))
        await asyncio.wait([first])
        kit.go.set()
        return text_of(await second)

    assert run(tools.servers[0], use) == "false"


def test_call_that_outlives_its_session_keeps_later_sessions_out(serve: Serve) -> None:
    kit = Deaf()
    earlier = serve(servers=(kit,))

    async def end_it(client: Client) -> None:
        first = asyncio.create_task(client.call_tool("first", {}))
        await asyncio.to_thread(kit.begun.wait, WAIT)
        first.cancel()
        await asyncio.wait([first])

    run(earlier.servers[0], end_it)
    earlier.close()
    later = serve(servers=(kit,))

    async def use(client: Client) -> str:
        second = asyncio.create_task(client.call_tool("second", {}))
        while not later.running:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        kit.go.set()
        return text_of(await second)

    assert run(later.servers[0], use) == "false"


def test_async_tool_that_would_wait_for_itself_is_told(ask: Ask) -> None:
    async def serves() -> None:
        with Counter().as_server():
            pass

    assert ask(serves).startswith("error: SessionStateError: an async tool cannot block")


def test_call_that_is_cancelled_while_it_waits_for_its_turn_never_runs() -> None:
    begun, go = threading.Event(), threading.Event()
    seen: list[int] = []

    def write(number: int) -> None:
        seen.append(number)
        begun.set()
        go.wait(WAIT)

    async def no_progress(*_: object) -> None:
        pass

    async def use() -> None:
        calls, wrapped = Calls(None, OneAtATime(), str), PythonTool.of(write)

        def call(number: int) -> asyncio.Task[Any]:
            return asyncio.create_task(calls.call(wrapped, {"number": number}, "", no_progress))

        first = call(1)
        await asyncio.to_thread(begun.wait, WAIT)
        second = call(2)
        for _ in range(10):  # until it waits
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        go.set()
        await first
        await call(3)

    asyncio.run(use())
    assert seen == [1, 3]
