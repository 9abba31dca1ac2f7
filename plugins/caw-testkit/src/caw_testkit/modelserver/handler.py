"""One HTTP connection: read requests, have them answered, keep the connection alive."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from caw_testkit.modelserver.delivery import ClientLeftError, deliver
from caw_testkit.modelserver.dialects import dialect_of
from caw_testkit.modelserver.request import RecordedRequest, redacted

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from caw_testkit.modelserver.dialects.dialect import Ids
    from caw_testkit.modelserver.request import Api
    from caw_testkit.modelserver.steps import Answer

_API_BY_END: Mapping[str, Api] = {
    "/responses": "responses",
    "/chat/completions": "chat",
    "/messages": "messages",
    "/messages/count_tokens": "count_tokens",
}


def api_of(method: str, path: str) -> Api:
    """Return which API *method* and *path* (with or without a query) are for."""
    bare = "/" + path.partition("?")[0].strip("/").removeprefix("v1/")
    if method == "POST":
        return _API_BY_END.get(bare, "other")
    if method == "GET" and (bare == "/models" or bare.startswith("/models/")):
        return "models"
    return "other"


class ModelHandler(BaseHTTPRequestHandler):
    """Hands each request to ``answer``, which subclasses are given by their server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    connection: socket.socket
    answer: Callable[[RecordedRequest], tuple[Answer, Ids]]
    next_index: Callable[[], int]

    def handle_any(self) -> None:
        """Read one request, have it answered, and say whether another may follow."""
        try:
            raw = self._read_body()
        except (ValueError, OSError, EOFError, zlib.error):
            self.close_connection = True
            return
        headers, digests = redacted(dict(self.headers.items()))
        api = api_of(self.command, self.path)
        request = RecordedRequest(
            index=type(self).next_index(),
            api=api,
            method=self.command,
            path=self.path,
            headers=headers,
            body=_json_object(raw),
            received_at=time.monotonic(),
            credential_digests=digests,
            dialect=dialect_of(api),
        )
        answer, ids = type(self).answer(request)
        try:
            usable = deliver(self.connection, answer, request, ids)
        except ClientLeftError:
            usable = False
        if not usable:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Print nothing: what happened is in the recorded requests."""

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            raw = b"".join(iter(self._read_chunk, b""))
        else:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        match self.headers.get("content-encoding", "identity").lower():
            case "gzip":
                return gzip.decompress(raw)
            case "deflate":
                return zlib.decompress(raw)
            case _:
                return raw

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
