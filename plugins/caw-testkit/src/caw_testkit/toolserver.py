"""A server of tools in the Model Context Protocol with one tool, ``add``, on stdio or on HTTP.

It is plain JSON-RPC and uses nothing but the standard library. What it was given to keep secret it
tells nobody: on stdio it writes a digest to a file, on HTTP it remembers the header for the test.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = [
    "SECRET_HEADER",
    "SECRET_VARIABLE",
    "SEEN_VARIABLE",
    "STDIO_COMMAND",
    "HttpToolServer",
    "digest",
]

STDIO_COMMAND: tuple[str, ...] = (sys.executable, "-m", "caw_testkit.toolserver")
"""What starts the server on stdio."""

SECRET_VARIABLE = "TOOLSERVER_SECRET"  # noqa: S105 - the name, not the secret
"""The variable whose value the server on stdio digests."""

SEEN_VARIABLE = "TOOLSERVER_SEEN"
"""The variable that names the file for that digest; without it none is written."""

SECRET_HEADER = "X-Token"  # noqa: S105 - the name, not the secret
"""The header that the server on HTTP remembers."""

_TOOL = {
    "name": "add",
    "description": "Adds two numbers.",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    },
}
_POLL_SECONDS = 0.05


def digest(secret: str) -> str:
    """Return what the server on stdio writes for *secret*."""
    return hashlib.sha256(secret.encode()).hexdigest()


class HttpToolServer:
    """The server over streamable HTTP on loopback; a context manager that serves until it ends."""

    def __init__(self) -> None:
        """Prepare a server; entering it opens the port."""
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            args=(_POLL_SECONDS,),
            name="caw-testkit tool server",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The address to give to a program."""
        return f"http://127.0.0.1:{self._listener.server_port}/mcp"

    @property
    def secrets(self) -> list[str | None]:
        """What each request had in ``SECRET_HEADER``, in order."""
        return list(self._listener.secrets)

    def __enter__(self) -> Self:
        """Serve from a thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.secrets: list[str | None] = []
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_POST(self) -> None:
        self.server.secrets.append(self.headers.get(SECRET_HEADER))
        said = _reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        data = b"" if said is None else json.dumps(said).encode()
        self.send_response(200 if data else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        # There is no stream of the server's own messages.
        self.send_error(405)

    def log_message(self, *_: object) -> None:
        pass


def _reply(message: dict[str, Any]) -> dict[str, Any] | None:
    if "id" not in message:
        return None
    result = _result(message["method"], message.get("params", {}))
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "sums", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [_TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": str(sum(params["arguments"].values()))}]}
    return {}


def _serve_stdio() -> None:
    if SEEN_VARIABLE in os.environ:
        Path(os.environ[SEEN_VARIABLE]).write_text(digest(os.environ.get(SECRET_VARIABLE, "")))
    for line in sys.stdin:
        said = _reply(json.loads(line))
        if said is not None:
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _serve_stdio()
