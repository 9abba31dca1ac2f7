"""Stands before an agent's HTTP server on loopback and writes down what goes through."""

from __future__ import annotations

import http.client
import http.server
import itertools
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from caw_testkit.cassettes.writer import TapeWriter

STREAM: Final = "text/event-stream"
_OWN_HEADERS: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class LoopbackServer(http.server.ThreadingHTTPServer):
    """An HTTP server on a free port of 127.0.0.1 that is quiet, and gone when it is closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="caw-cassette-http", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join(5)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that is gone is no error."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes requests of all methods to `take`."""

    protocol_version = "HTTP/1.1"

    def take(self, body: bytes) -> None:
        """Answer the request; override it."""
        raise NotImplementedError

    def begin(self, status: int, kind: str, length: int | None) -> None:
        """Send the head of an answer; *length* is that of its body, None for a stream."""
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        self.take(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base's names


class HttpRelay:
    """Listens on a port of its own and passes everything on.

    Args:
        tape: where to write it down.
        process: the number of the process that serves.
        target: its port.

    Attributes:
        port: where it listens.
    """

    def __init__(self, tape: TapeWriter, process: int, target: int) -> None:
        numbers = itertools.count(1)

        class Relayed(Handler):
            def take(self, body: bytes) -> None:
                number = next(numbers)
                where = {"process": process, "exchange": number}
                tape.add("request", data=body, method=self.command, path=self.path, **where)
                connection = http.client.HTTPConnection("127.0.0.1", target)
                try:
                    connection.request(self.command, self.path, body or None, _passed(self.headers))
                    pass_answer(connection.getresponse(), where, self)
                finally:
                    connection.close()

        def pass_answer(
            response: http.client.HTTPResponse, where: dict[str, int], handler: Handler
        ) -> None:
            kind = response.headers.get("Content-Type", "")
            status = HTTPStatus(response.status)
            about: dict[str, Any] = {"status": int(status), "type": kind, **where}
            if not kind.startswith(STREAM):
                content = response.read()
                tape.add("response", data=content, **about)
                handler.begin(status, kind, len(content))
                handler.wfile.write(content)
                return
            tape.add("response", **about)
            handler.begin(status, kind, None)
            event = b""
            for line in response:
                event += line
                if not line.strip():
                    tape.add("event", data=event, **where)
                    handler.wfile.write(event)
                    event = b""
            tape.add("closed", data=event, **where)
            handler.wfile.write(event)

        self._server = LoopbackServer(Relayed)
        self.port = self._server.port

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def _passed(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
