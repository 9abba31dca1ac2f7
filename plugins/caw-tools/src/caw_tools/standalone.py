"""A server of one toolkit without an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors import SessionStateError
from caw_tools.lane import Lane
from caw_tools.serving import plan_of
from caw_tools.shared_server import SHARED

if TYPE_CHECKING:
    from types import TracebackType

    from caw_core.mcp import McpServer
    from caw_tools.kit import ToolSource


class ToolServer:
    """Serves a toolkit while it is entered; see `caw_tools.ToolKit.as_server`.

    The kit's ``session_opened`` is not called, for there is no session.

    Args:
        source: the toolkit.

    Raises:
        ConfigError: one of its tools is badly defined.
    """

    def __init__(self, source: ToolSource) -> None:
        self._plan = plan_of(source)
        self._lane: Lane | None = None

    def start(self) -> McpServer:
        """Begin to serve; return what an agent, or another program, needs to call the tools.

        Raises:
            SessionStateError: it has begun already.
        """
        if self._lane is not None:
            msg = "the server of tools runs already"
            raise SessionStateError(msg)
        plan = self._plan
        self._lane = Lane(
            name=plan.name, title=plan.title, tools=plan.tools, one_at_a_time=plan.one_at_a_time
        )
        return SHARED.open([self._lane])[0]

    def stop(self) -> None:
        """Stop serving; idempotent."""
        lane, self._lane = self._lane, None
        if lane is not None:
            SHARED.close([lane])

    def __enter__(self) -> McpServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
