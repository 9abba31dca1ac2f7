"""`ToolContext`: what a tool can know of its call, and say while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caw_core.tool_serving import ToolScope

Report = Callable[[float | None, float | None, str], None]
"""Takes how much is done, of how much, and a message."""


class ToolContext:
    """The call of a tool, for a parameter of this type, which the model does not see.

    All its methods return at once and may be used from any thread, unless they say otherwise.

    Attributes:
        tool: the tool's name.
        arguments: what the model gave, as JSON.
        call_id: the agent's id of the call, as in `caw_core.ToolUse`; ``""`` where its program
            does not say.
        scope: the session; None for a server of `caw_tools.ToolKit.as_server`.

    Args:
        tool: see above.
        arguments: see above.
        call_id: see above.
        scope: see above.
        report: takes progress to the agent.
    """

    def __init__(
        self,
        *,
        tool: str,
        arguments: Mapping[str, Any],
        call_id: str,
        scope: ToolScope | None,
        report: Report,
    ) -> None:
        self.tool = tool
        self.arguments = arguments
        self.call_id = call_id
        self.scope = scope
        self._report = report
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._callbacks: list[Callable[[], object]] = []

    def progress(
        self, done: float | None = None, total: float | None = None, message: str = ""
    ) -> None:
        """Tell the agent how far the call is; some show it, and wait longer.

        Args:
            done: how much is done, more than before; default one more.
            total: of how much.
            message: what happens now.
        """
        self._report(done, total, message)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: stop soon.

        An async tool is cancelled besides, as any task is.
        """
        return self._cancelled.is_set()

    def wait_cancelled(self, seconds: float | None = None) -> bool:
        """Block until the call is cancelled, at most *seconds*; tell whether it is."""
        return self._cancelled.wait(seconds)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Have *callback* called when the call is cancelled, at once if it is.

        It is called on a thread that serves all tools, so it must not block.
        """
        with self._lock:
            if not self._cancelled.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def cancel(self) -> None:
        """Take note that nobody waits any more; idempotent."""
        with self._lock:
            self._cancelled.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
