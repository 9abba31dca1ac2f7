"""A lane: one server of tools for one session, on the HTTP server that all share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from caw_core.mcp import McpServer
from caw_tools.calls import Calls
from caw_tools.results import failed

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from caw_core.tool_serving import ToolScope
    from caw_tools.one_at_a_time import OneAtATime
    from caw_tools.signature import PythonTool

TOKEN_BYTES: Final = 32
"""256 bits, which nobody guesses."""

CALL_SECONDS: Final = 24 * 3600.0
"""How long the agent is to wait for a call; the deadlines of the turn end it sooner."""

_CALL_IDS: Final = ("claudecode/toolUseId", "callId")
"""Where programs say which call of the model's it is, in the request's ``_meta``.

Claude 2.1.197 and codex 0.169.0, observed; opencode 1.18.33 does not say.
"""


class Lane:
    """Serves some tools to whoever has the token.

    Args:
        name: the server's name, as the agent sees it.
        title: a name for people.
        tools: what it offers.
        scope: the session; None for a server without one.
        redact: takes secrets out of what an error says.
        one_at_a_time: lets its calls in; None where they may run at once.

    Attributes:
        token: the secret that a request must bring.
    """

    def __init__(
        self,
        *,
        name: str,
        title: str,
        tools: Sequence[PythonTool],
        scope: ToolScope | None = None,
        redact: Callable[[str], str] = str,
        one_at_a_time: OneAtATime | None = None,
    ) -> None:
        self.name = name
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._tools = {tool.offer.name: tool for tool in tools}
        self._scope = scope
        self._redact = redact
        self._one_at_a_time = one_at_a_time
        self._calls: Calls | None = None
        self._done = asyncio.Event()
        server: Server[Any] = Server(
            name, title=title or None, on_list_tools=self._list, on_call_tool=self._call
        )
        # Requests were checked before they come here; see `caw_tools.http_server`. A session may
        # be silent for hours, and its agent does not connect again.
        self._manager = StreamableHTTPSessionManager(server, session_idle_timeout=None)

    def at(self, url: str) -> McpServer:
        """Return what an agent needs to use the lane at *url*."""
        return McpServer(
            name=self.name,
            url=url,
            headers={"Authorization": f"Bearer {self.token}"},
            trusted=True,
            call_seconds=CALL_SECONDS,
        )

    @property
    def running(self) -> bool:
        """Whether a call runs now."""
        return self._calls is not None and self._calls.running

    def cancel_calls(self) -> None:
        """Cancel the calls that run, from any thread."""
        if self._calls is not None:
            self._calls.cancel()

    # ---------------------------------------------------------------------- on the loop alone

    async def serve(self, ready: Callable[[], object]) -> None:
        """Serve until `finish`, and cancel what runs then."""
        self._calls = Calls(self._scope, self._one_at_a_time, self._redact)
        async with self._manager.run():
            ready()
            await self._done.wait()
            await self._calls.end()

    def finish(self) -> None:
        """Have `serve` end."""
        self._done.set()

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request, an ASGI call."""
        await self._manager.handle_request(scope, receive, send)

    async def _list(
        self, _: ServerRequestContext[Any, Any], __: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[tool.offer for tool in self._tools.values()])

    async def _call(
        self, context: ServerRequestContext[Any, Any], params: CallToolRequestParams
    ) -> CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None or self._calls is None:
            known = ", ".join(self._tools)
            return failed(f"there is no tool {params.name!r}; there are: {known}")
        meta = dict(context.meta or {})
        call_id = next((str(meta[name]) for name in _CALL_IDS if meta.get(name)), "")
        return await self._calls.call(
            tool, params.arguments or {}, call_id, context.session.report_progress
        )
