"""A provider of agents that have others do their work: each prompt is a list of calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from caw_core import NATIVE, Prompt, ProviderInfo, StartRequest, UsageStats, hookimpl
from caw_core.events import (
    Event,
    TextDone,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UsageReported,
)

from .client import calling, text_of

if TYPE_CHECKING:
    from mcp.types import CallToolResult

PRICE = 0.25
"""What each of its turns costs, in US dollars."""


def tasks(**prompts: str) -> str:
    """Return the prompt that has each of these subagents do something, all at once."""
    return json.dumps([{"name": name, "prompt": prompt} for name, prompt in prompts.items()])


class DelegatorSession:
    """Calls subagents as an agent's program does, over HTTP, and repeats what they said."""

    resume_key = None

    def __init__(self, request: StartRequest) -> None:
        self._request = request
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calling: asyncio.Future[list[CallToolResult]] | None = None

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Call all of them at once."""
        calls = json.loads(prompt.text)
        for number, call in enumerate(calls):
            arguments = {"prompt": call["prompt"]}
            yield ToolStarted(
                call_id=str(number), name=f"subagents.{call['name']}", arguments=arguments
            )
        yield UsageReported(
            usage=UsageStats(input_tokens=1, cost_usd=PRICE, cost_source="reported")
        )
        try:
            results = asyncio.run(self._call(calls))
        except asyncio.CancelledError:
            yield TurnEnded(stop_reason="cancelled")
            return
        for number, result in enumerate(results):
            yield ToolFinished(
                call_id=str(number), output=text_of(result), is_error=bool(result.is_error)
            )
        yield TextDone(text="; ".join(map(text_of, results)))

    async def _call(self, calls: list[dict[str, Any]]) -> list[CallToolResult]:
        [server] = [each for each in self._request.mcp_servers if each.name == "subagents"]
        async with calling(server) as client:
            given = [(each["name"], {"prompt": each["prompt"]}) for each in calls]
            self._loop = asyncio.get_running_loop()
            self._calling = asyncio.gather(*(client.call_tool(*each) for each in given))
            return await self._calling

    def interrupt(self) -> None:
        """Give the calls up."""
        if self._loop is not None and self._calling is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._calling.cancel)

    def close(self) -> None:
        """Do nothing: there is nothing."""


class DelegatorProvider:
    """Opens such sessions."""

    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say that it takes servers of tools."""
        names = ("cwd", "env", "mcp_servers", "permissions", "system_prompt")
        return ProviderInfo(
            name="delegator",
            auto="never",
            capabilities=frozenset({"tools", "usage", "interrupt"}),
            options=dict.fromkeys(names, NATIVE),
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> DelegatorSession:
        """Open a session."""
        return DelegatorSession(request)
