"""Calls: what the agent gets, how many run at once, and how they are cancelled."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, field_validator

from caw_core.redaction import Redactor
from caw_tools import Image, ToolContext, ToolKit, tool
from caw_tools.calls import Calls
from caw_tools.one_at_a_time import OneAtATime
from caw_tools.signature import PythonTool

from .client import text_of
from .conftest import run

if TYPE_CHECKING:
    from mcp import Client

    from .conftest import Ask, Serve

WAIT = 60.0
PNG = b"\x89PNG\r\n\x1a\n made up"


@dataclass
class Weather:
    degrees: float
    words: str


def number() -> int:
    """Return a number."""
    return 5


async def greeting(name: str) -> str:
    """Greet on the loop."""
    await asyncio.sleep(0)
    return f"hello {name}"


def nothing() -> None:
    """Return nothing."""


def listing() -> list[int]:
    """Return a list."""
    return [1, 2]


def weather() -> Weather:
    """Return a value with fields."""
    return Weather(degrees=20.5, words="clear")


def fails() -> None:
    """Fail."""
    message = "no such user"
    raise ValueError(message)


def leaves() -> None:
    """Try to end the program."""
    raise SystemExit(3)


def huge() -> str:
    """Return much."""
    return "x" * 3_000_000


def pointless() -> object:
    """Return what no JSON can hold."""
    return object()


def first_of_none() -> int:
    """Raise what no future takes."""
    return next(iter(()))


class SpeechlessError(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError


def speechless() -> None:
    """Fail without words."""
    raise SpeechlessError


def half_character() -> str:
    """Return a file's name that is no text."""
    return os.fsdecode(b"a\xff")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (number, "5"),
        (nothing, ""),
        (listing, "[1,2]"),
        (weather, '{"degrees":20.5,"words":"clear"}'),
        (fails, "error: ValueError: no such user"),
        (leaves, "error: SystemExit: 3"),
        (huge, "x" * 3_000_000),
        (pointless, "error: TypeError: a tool's result holds object, which JSON cannot hold"),
        (first_of_none, "error: RuntimeError: the call raised StopIteration"),
        (speechless, "error: SpeechlessError"),
        (half_character, "a\\udcff"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_result_or_error_reaches_the_agent(ask: Ask, function: Any, text: str) -> None:
    assert ask(function) == text


def test_async_tool_runs_on_the_servers_loop(ask: Ask) -> None:
    assert ask(greeting, name="Ada") == "hello Ada"


def test_arguments_that_do_not_fit_are_told_to_the_model(ask: Ask) -> None:
    assert ask(greeting, name=3).startswith("error: the arguments do not fit greeting: name:")
    assert ask(greeting, nam="Ada") == "error: greeting has no argument nam; it has: name"


def test_a_type_that_fails_to_read_an_argument_is_an_error_for_the_model(ask: Ask) -> None:
    class Ticket(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def known(cls, number: int) -> int:
            return {7: number}[number]

    def title(ticket: Ticket) -> str:
        return str(ticket.number)

    title.__annotations__["ticket"] = Ticket
    assert ask(title, ticket={"number": 7}) == "7"
    assert ask(title, ticket={"number": 8}) == "error: KeyError: 8"


def test_a_tool_that_fails_says_where_in_the_log_alone(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    assert "Traceback" not in ask(fails)
    assert "in fails" in caplog.text


def test_secret_of_the_session_is_in_no_error(serve: Serve) -> None:
    def tells() -> None:
        message = "refused: secret-12345"
        raise RuntimeError(message)

    [server] = serve(tells, redactor=Redactor(["secret-12345"])).servers

    async def use(client: Client) -> Any:
        return await client.call_tool("tells", {})

    assert run(server, use).content[0].text == "RuntimeError: refused: [redacted]"


def test_object_is_sent_as_data_too(serve: Serve) -> None:
    [server] = serve(weather, number).servers

    async def use(client: Client) -> list[Any]:
        return [await client.call_tool(name, {}) for name in ("weather", "number")]

    whole, single = run(server, use)
    assert whole.structured_content == {"degrees": 20.5, "words": "clear"}
    assert single.structured_content is None


@pytest.mark.parametrize("kind", ["bytes", "path", "among text"])
def test_image_is_an_image(serve: Serve, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(PNG)

    def picture() -> Any:
        return {"bytes": Image(PNG), "path": Image(file), "among text": ["look", Image(PNG)]}[kind]

    [server] = serve(picture).servers

    async def use(client: Client) -> Any:
        return await client.call_tool("picture", {})

    blocks = run(server, use).content
    assert len(blocks) == 1 + (kind == "among text")
    assert (base64.b64decode(blocks[-1].data), blocks[-1].mime_type) == (PNG, "image/png")


def test_progress_arrives_in_order_before_the_result(serve: Serve) -> None:
    def steps(ctx: ToolContext) -> str:
        ctx.progress(1, 3, "one")
        ctx.progress(message="two")
        ctx.progress(3, 3)
        return "done"

    [server] = serve(steps).servers
    seen: list[Any] = []

    async def take(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async def use(client: Client) -> Any:
        return await client.call_tool("steps", {}, progress_callback=take)

    assert run(server, use).content[0].text == "done"
    assert seen == [(1, 3, "one"), (2, None, "two"), (3, 3, None)]


def test_context_knows_the_call(ask: Ask, tmp_path: Path) -> None:
    def about(word: str, ctx: ToolContext) -> str:
        assert ctx.scope is not None
        return f"{ctx.tool} {ctx.arguments} {ctx.scope.session_id} {ctx.scope.cwd == tmp_path}"

    assert ask(about, word="a") == "about {'word': 'a'} session-0 True"


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


def test_next_call_of_a_kit_waits_for_a_cancelled_thread(serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(ToolKit):
        def __init__(self) -> None:
            self.inside = False

        @tool
        def first(self) -> None:
            self.inside = True
            begun.set()
            go.wait(WAIT)
            self.inside = False

        @tool
        async def second(self) -> bool:
            return self.inside

    tools = serve(servers=(Slow(),))

    async def use(client: Client) -> str:
        first = asyncio.create_task(client.call_tool("first", {}))
        await asyncio.to_thread(begun.wait, WAIT)
        first.cancel()
        second = asyncio.create_task(client.call_tool("second", {}))
        await asyncio.wait([first])
        go.set()
        return text_of(await second)

    assert run(tools.servers[0], use) == "false"


def test_call_that_outlives_its_session_keeps_later_sessions_out(serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(ToolKit):
        def __init__(self) -> None:
            self.inside = False

        @tool
        def first(self) -> None:
            self.inside = True
            begun.set()
            go.wait(WAIT)
            self.inside = False

        @tool
        async def second(self) -> bool:
            return self.inside

    kit = Slow()
    earlier = serve(servers=(kit,))

    async def end_it(client: Client) -> None:
        first = asyncio.create_task(client.call_tool("first", {}))
        await asyncio.to_thread(begun.wait, WAIT)
        first.cancel()
        await asyncio.wait([first])

    run(earlier.servers[0], end_it)
    earlier.close()
    later = serve(servers=(kit,))

    async def use(client: Client) -> str:
        second = asyncio.create_task(client.call_tool("second", {}))
        while not later.running:
            await asyncio.sleep(0)
        go.set()
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
