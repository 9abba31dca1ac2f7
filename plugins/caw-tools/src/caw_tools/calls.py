"""Calls of tools: each in a thread or a task of its own, cancelled when nobody waits any more."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from caw_core.twins import call_in_thread
from caw_tools.context import ToolContext
from caw_tools.results import error_of, failed, result_of
from caw_tools.signature import ArgumentsError

if TYPE_CHECKING:
    from mcp.types import CallToolResult

    from caw_core.tool_serving import ToolScope
    from caw_tools.one_at_a_time import OneAtATime
    from caw_tools.signature import PythonTool

log = logging.getLogger("caw.tools")

MOST_PROGRESS: Final = 64
"""How many reports of progress wait for a slow agent; older ones give way to newer."""

BEAT_SECONDS: Final = 10.0
"""How often the agent hears that a call still runs.

opencode gives up 60 seconds after the last report of progress
(https://github.com/anomalyco/opencode/issues/28186), claude after five minutes
(https://github.com/anthropics/claude-code/issues/70441).
"""

ANSWER_SECONDS: Final = 2.0
"""How long after the end of a turn was asked for its cancelled calls stay without an answer.

With one, an agent that has not heard of the end yet would ask its model what to do next.
"""

_LITTLE: Final = 1e-6

SendProgress = Callable[[float, float | None, str | None], Awaitable[None]]


class Progress:
    """Brings reports from a call's thread to the agent, in order, before the result.

    Args:
        loop: the one that serves.
        send: sends one report; called on the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: SendProgress) -> None:
        self._loop = loop
        self._send = send
        self._done = 0.0
        self._total: float | None = None
        self._waiting: collections.deque[tuple[float, float | None, str]] = collections.deque(
            maxlen=MOST_PROGRESS
        )
        self._sending = asyncio.Lock()

    def report(self, done: float | None, total: float | None, message: str) -> None:
        """Take a report, from any thread."""
        # The protocol wants a number that grows.
        wanted = self._done + 1 if done is None else float(done)
        self._done = max(self._done + _LITTLE, wanted)
        self._total = total
        self._waiting.append((self._done, total, message))
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._flush_soon)

    async def beat(self) -> None:
        """Report every few seconds that the call runs, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self.report(self._done + _LITTLE, self._total, "")

    async def flush(self) -> None:
        """Send what waits."""
        async with self._sending:
            while self._waiting:
                done, total, message = self._waiting.popleft()
                try:
                    await self._send(done, total, message or None)
                except Exception:
                    log.debug("a report of progress did not arrive", exc_info=True)

    def _flush_soon(self) -> None:
        # One that is at it takes this one, too.
        if not self._sending.locked():
            self._flushing = self._loop.create_task(self.flush())


class Calls:
    """The calls of one session's tools on one server.

    All but `cancel` and `running` happens on the loop that serves.

    Args:
        scope: the session; None for a server without one.
        one_at_a_time: lets them in; None where they may run at once.
        redact: takes secrets out of what an error says.
    """

    def __init__(
        self,
        scope: ToolScope | None,
        one_at_a_time: OneAtATime | None,
        redact: Callable[[str], str],
    ) -> None:
        self._scope = scope
        self._one_at_a_time = one_at_a_time
        self._redact = redact
        self._running: dict[ToolContext, asyncio.Task[Any]] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def running(self) -> bool:
        """Whether a call runs, or waits for its turn."""
        return bool(self._running)

    async def call(
        self,
        tool: PythonTool,
        given: Mapping[str, Any],
        call_id: str,
        send_progress: SendProgress,
    ) -> CallToolResult:
        """Call a tool and return what the agent gets; whatever the tool raises is part of that.

        When the awaiting task is cancelled, the call is, too.
        """
        progress = Progress(self._loop, send_progress)
        context = ToolContext(
            tool=tool.offer.name,
            arguments=given,
            call_id=call_id,
            scope=self._scope,
            report=progress.report,
        )
        try:
            arguments = tool.arguments(given)
        except ArgumentsError as error:
            return failed(self._redact(str(error)))
        except Exception as error:  # noqa: BLE001 - a type of the caller's own, which reads itself
            return self._failed(tool, error)
        if tool.context_name:
            arguments[tool.context_name] = context
        # A task of its own, so that a tool is cancelled once, as asyncio has it, and may clean up.
        task = asyncio.create_task(self._run(tool, arguments, context))
        self._running[context] = task
        task.add_done_callback(lambda _: self._running.pop(context, None))
        beat = asyncio.create_task(progress.beat())
        try:
            await asyncio.wait([task])
        finally:
            beat.cancel()
            if not task.done():
                # The agent no longer waits, so neither does this.
                self._cancel(context, task)
        if task.cancelled():
            await asyncio.sleep(ANSWER_SECONDS)
            return failed("the call was cancelled")
        await progress.flush()
        return task.result()

    def cancel(self) -> None:
        """Cancel all calls, from any thread; returns at once."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and so are they
            self._loop.call_soon_threadsafe(self._cancel_all)

    async def end(self) -> None:
        """Cancel all calls, and wait a little for those that clean up."""
        tasks = list(self._running.values())
        self._cancel_all()
        if tasks:
            await asyncio.wait(tasks, timeout=ANSWER_SECONDS)

    def _cancel_all(self) -> None:
        for context, task in list(self._running.items()):
            self._cancel(context, task)

    def _cancel(self, context: ToolContext, task: asyncio.Task[Any]) -> None:
        try:
            context.cancel()
        except Exception:
            log.exception("what the tool %s does when it is cancelled failed", context.tool)
        task.cancel()

    async def _run(
        self, tool: PythonTool, arguments: dict[str, Any], context: ToolContext
    ) -> CallToolResult:
        try:
            if tool.is_async:
                async with self._one_at_a_time or contextlib.nullcontext():
                    value = await tool.function(**arguments)
            else:
                value = await self._in_thread(tool.function, arguments)
                if inspect.isawaitable(value):
                    # A plain wrapper around an async function.
                    async with self._one_at_a_time or contextlib.nullcontext():
                        value = await value
            return result_of(tool, value)
        except asyncio.CancelledError:
            if context.cancelled:
                raise
            # Its own doing: it cancelled something that it awaited.
            return failed("CancelledError")
        except BaseException as error:  # noqa: BLE001 - no tool ends the session
            return self._failed(tool, error)

    def _failed(self, tool: PythonTool, error: BaseException) -> CallToolResult:
        # The text, and not the error itself, for there may be secrets in it.
        where = self._redact("".join(traceback.format_exception(error)))
        log.warning("the tool %s failed\n%s", tool.offer.name, where.rstrip())
        return error_of(error, self._redact)

    async def _in_thread(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        one_at_a_time = self._one_at_a_time
        if one_at_a_time is None:
            return await call_in_thread(function, **arguments)
        await one_at_a_time.enter()
        begun = False

        def run() -> Any:
            nonlocal begun
            begun = True
            # A thread cannot be stopped, so the next call waits for it, if nobody else does.
            try:
                return function(**arguments)
            finally:
                one_at_a_time.leave()

        try:
            return await call_in_thread(run)
        except RuntimeError:
            if not begun:  # there can be no more threads
                one_at_a_time.leave()
            raise
