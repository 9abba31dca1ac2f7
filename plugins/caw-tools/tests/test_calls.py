"""Calls: what the agent gets."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, field_validator

from caw_core.redaction import Redactor
from caw_tools import Image, ToolContext

from .conftest import run

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mcp import Client

    from .conftest import Ask, Serve

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


def test_plain_wrapper_around_an_async_tool_is_awaited(ask: Ask) -> None:
    @functools.wraps(greeting)
    def wrapped(name: str) -> Awaitable[str]:
        return greeting(name.upper())

    assert ask(wrapped, name="Ada") == "hello ADA"


def test_secret_of_the_session_is_in_no_error_and_no_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def tells() -> None:
        message = "refused: secret-12345"
        raise RuntimeError(message)

    [server] = serve(tells, redactor=Redactor(["secret-12345"])).servers

    async def use(client: Client) -> Any:
        return await client.call_tool("tells", {})

    assert run(server, use).content[0].text == "RuntimeError: refused: [redacted]"
    assert "in tells" in caplog.text
    assert "secret-12345" not in caplog.text


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
