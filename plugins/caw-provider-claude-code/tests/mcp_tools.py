"""A tool server in plain JSON-RPC, on stdio or on HTTP; it tells the secret that it was given."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def answer(message: dict[str, Any], secret: str) -> dict[str, Any] | None:
    if "id" not in message:
        return None
    tool = {"name": "tell", "description": "tells", "inputSchema": {"type": "object"}}
    results: dict[str, dict[str, Any]] = {
        "initialize": {
            "protocolVersion": message.get("params", {}).get("protocolVersion", ""),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "t", "version": "1"},
        },
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": f"told {secret}"}]},
    }
    return {"jsonrpc": "2.0", "id": message["id"], "result": results.get(message["method"], {})}


class HttpTools:
    """The server on HTTP; its secret is what a request has in ``X-Secret``."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(405)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = answer(json.loads(body), self.headers.get("X-Secret", ""))
                self.send_response(202 if said is None else 200)
                data = b"" if said is None else json.dumps(said).encode()
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


if __name__ == "__main__":
    for line in sys.stdin:
        said = answer(json.loads(line), os.environ.get("SECRET", ""))
        if said is not None:
            print(json.dumps(said), flush=True)  # noqa: T201 - that is how it answers
