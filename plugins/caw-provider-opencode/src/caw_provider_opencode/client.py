"""HTTP to ``opencode serve`` on loopback.

The standard library's client is all that it takes: JSON both ways and one stream, on connections
that cost less than a millisecond each. httpx would take 0.3 s to import and add a dependency.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ProtocolError
from caw_core.json_fields import mapping, text
from caw_core.json_lines import encode
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.sse import SseParser

if TYPE_CHECKING:
    from collections.abc import Iterator

USER: Final = "opencode"
OK: Final = 200
NOT_FOUND: Final = 404

_CHUNK: Final = 65536
_MESSAGE_CHARACTERS: Final = 500


@attrs.frozen
class Answer:
    """An HTTP answer: its status, and its body read as JSON."""

    status: int
    data: JSON

    @property
    def ok(self) -> bool:
        """Whether opencode did what it was asked."""
        return self.status == OK

    @property
    def message(self) -> str:
        """What opencode says went wrong."""
        said = text(mapping(self.data, "data"), "message") or text(self.data, "message")
        return said or f"HTTP status {self.status}"


class PendingCall:
    """A request whose answer may take hours; `cancel` from another thread frees who waits."""

    def __init__(self, client: Client, method: str, path: str, body: JSON) -> None:
        self._client = client
        self._request = (method, path, body)
        self._connection = client.connection(None)
        self._cancelled = False

    def run(self) -> Answer:
        """Send the request and wait for its answer.

        Raises:
            OSError: the connection was lost, or `cancel` was called.
            ProtocolError: the answer is no JSON.
        """
        try:
            if self._cancelled:
                raise ConnectionAbortedError
            return self._client.exchange(self._connection, *self._request)
        finally:
            self._connection.close()

    def cancel(self) -> None:
        """Close the connection under `run`. opencode goes on with what it was asked."""
        self._cancelled = True
        _shut(self._connection)


class Client:
    """Makes requests to one server.

    Args:
        port: the server's port on 127.0.0.1.
        password: what it was started with.
    """

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def connection(self, timeout: float | None) -> http.client.HTTPConnection:
        """Return a connection that is not open yet; no proxy is ever used."""
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)

    def call(self, method: str, path: str, body: JSON = None, *, timeout: float | None) -> Answer:
        """Make one request.

        Args:
            method: the HTTP method.
            path: the path, made with `route`.
            body: what to send as JSON; None for nothing.
            timeout: how many seconds each wait for the server may take; None for any.

        Raises:
            OSError: there was no connection, or no answer in time (`TimeoutError`).
            ProtocolError: the answer is no JSON.
            ConfigError: *body* cannot be sent; see `caw_core.json_lines.encode`.
        """
        connection = self.connection(timeout)
        try:
            return self.exchange(connection, method, path, body)
        finally:
            connection.close()

    def exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: JSON
    ) -> Answer:
        """Send a request on *connection* and read the answer; errors as in `call`."""
        data = None if body is None else encode(body)
        try:
            connection.request(method, path, data, self._headers)
            response = connection.getresponse()
            content = response.read()
        except http.client.HTTPException as error:
            msg = f"opencode broke off its answer: {error!r}"
            raise ConnectionResetError(msg) from error
        try:
            return Answer(response.status, json.loads(content))
        except (ValueError, RecursionError) as error:
            # opencode answers a path that it does not know with its web page and status 200.
            said = content[:_MESSAGE_CHARACTERS].decode(errors="replace")
            msg = f"opencode answered {method} {path} with status {response.status} and no JSON"
            raise ProtocolError(f"{msg}: {said}", provider=NAME) from error

    def events(self, path: str, *, timeout: float) -> EventSource:
        """Open a stream of server-sent events; errors as in `call`.

        Args:
            path: the stream's path.
            timeout: how many seconds of silence mean that the connection is dead.
        """
        connection = self.connection(timeout)
        try:
            connection.request("GET", path, None, self._headers)
            response = connection.getresponse()
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionResetError(repr(error)) from error
        except BaseException:
            connection.close()
            raise
        if response.status != OK:
            connection.close()
            msg = f"opencode refused its stream of events with HTTP status {response.status}"
            raise ProtocolError(msg, provider=NAME)
        return EventSource(connection, response)


class EventSource:
    """An open stream of server-sent events; made by `Client.events`."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self._response = response
        # The connection forgets its socket once the server has said that it will close it.
        self._socket = connection.sock

    def __iter__(self) -> Iterator[bytes]:
        """Yield the data of each event until the stream ends; raises nothing."""
        parser = SseParser()
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while chunk := self._response.read1(_CHUNK):
                yield from parser.feed(chunk)

    def close(self) -> None:
        """End the stream, also under somebody who reads it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def route(*parts: str, **query: str) -> str:
    """Return the path made of *parts*, each escaped, with the query."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{urlencode(query)}" if query else path


def _shut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
