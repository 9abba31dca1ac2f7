"""Who uses the process's HTTP server: it starts with the first lane and ends with the last."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from caw_tools.http_server import LaneServer

if TYPE_CHECKING:
    from caw_core.mcp import McpServer
    from caw_tools.lane import Lane


class SharedServer:
    """Opens and closes lanes on a server that runs as long as there is one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: LaneServer | None = None

    def open(self, lanes: Sequence[Lane]) -> tuple[McpServer, ...]:
        """Serve all of *lanes*; return what an agent needs to use each."""
        with self._lock:
            if self._server is None:
                self._server = LaneServer()
            try:
                return tuple(self._server.open(lane) for lane in lanes)
            except BaseException:
                self._close(lanes)
                raise

    def close(self, lanes: Sequence[Lane]) -> None:
        """Serve them no longer; idempotent."""
        with self._lock:
            self._close(lanes)

    def _close(self, lanes: Sequence[Lane]) -> None:
        if self._server is None:
            return
        for lane in lanes:
            self._server.close(lane)
        if self._server.is_empty:
            self._server.stop()
            self._server = None

    def forget(self) -> None:
        """Begin anew in a fork of the process, in which no other thread runs."""
        server, self._server = self._server, None
        self._lock = threading.Lock()
        if server is not None:
            server.forget()


SHARED = SharedServer()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHARED.forget)
