"""Put an answer on a connection: pacing, cuts, and noticing that the client left."""

from __future__ import annotations

import json
import math
import selectors
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from caw_testkit.modelserver.steps import Drop, Fail, Garbage, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_testkit.modelserver.dialects.dialect import Ids
    from caw_testkit.modelserver.request import RecordedRequest
    from caw_testkit.modelserver.steps import Answer

__all__ = ["ClientLeftError", "deliver"]

_JSON = "application/json"
_LAST_CHUNK = b"0\r\n\r\n"


class ClientLeftError(Exception):
    """The other side closed the connection before it had the whole answer."""


def deliver(connection: socket.socket, answer: Answer, request: RecordedRequest, ids: Ids) -> bool:
    """Send *answer* and note on *request* what became of it.

    The note is written before the last byte goes out, so that whoever has the answer finds it.

    Returns:
        Whether the connection can be used for another request.

    Raises:
        ClientLeftError: the other side closed first; this is noted as well.
    """
    try:
        _wait(connection, answer.before)
        match answer:
            case Reply():
                return _reply(connection, answer, request, ids)
            case Fail():
                request.outcome = "failed"
                _send(connection, _failure(answer, request))
            case Garbage():
                request.outcome = "sent"
                payload = b"" if request.method == "HEAD" else answer.data
                _send(connection, _whole(200, answer.content_type, len(answer.data)) + payload)
            case Drop():
                request.outcome = "cut"
                return False
    except ClientLeftError:
        request.outcome = "client_left"
        request.usage = None
        raise
    return True


def _reply(connection: socket.socket, answer: Reply, request: RecordedRequest, ids: Ids) -> bool:
    if request.body.get("stream"):
        return _stream(connection, answer, request, ids)
    if answer.error is not None:
        failure = Fail(status=500, message=answer.error.message, kind=answer.error.kind)
        request.outcome = "failed"
        _send(connection, _failure(failure, request))
        return True
    body = json.dumps(request.dialect.document(answer, ids, request.model)).encode()
    head = _whole(200, _JSON, len(body))
    if answer.cut_after is not None and answer.cut_after < len(body):
        request.outcome = "cut"
        _send(connection, head + body[: answer.cut_after])
        return False
    _wait(connection, answer.seconds)
    _note_sent(request, answer)
    _send(connection, head + body)
    return True


def _stream(connection: socket.socket, answer: Reply, request: RecordedRequest, ids: Ids) -> bool:
    events = request.dialect.events(answer, ids, request.model)
    if answer.error is not None:
        kept = events[: max(1, len(events) // 2)]
        events = [*kept, request.dialect.error_event(answer.error, ids)]
    cut = False
    if answer.cut_after is not None:
        events, cut = _cut(events, answer.cut_after)
    head = _head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
    if answer.seconds:
        _send(connection, head)
        _paced(connection, events[:-1], answer.seconds)
        rest = b"".join(map(_chunk, events[-1:]))
    else:
        rest = head + _chunk(b"".join(events))
    if cut:
        request.outcome = "cut"
    elif answer.error is not None:
        request.outcome = "failed"
    else:
        _note_sent(request, answer)
    _send(connection, rest if cut else rest + _LAST_CHUNK)
    return not cut


def _note_sent(request: RecordedRequest, answer: Reply) -> None:
    request.usage = answer.usage
    request.outcome = "sent"


def _paced(connection: socket.socket, events: list[bytes], seconds: float) -> None:
    start = time.monotonic()
    for number, event in enumerate(events, start=1):
        _send(connection, _chunk(event))
        _wait(connection, start + seconds * number / len(events) - time.monotonic())


def _cut(events: list[bytes], size: int) -> tuple[list[bytes], bool]:
    kept: list[bytes] = []
    for event in events:
        if len(event) > size:
            return [*kept, event[:size]], True
        kept.append(event)
        size -= len(event)
    return kept, False


def _failure(answer: Fail, request: RecordedRequest) -> bytes:
    body = answer.body
    if body is None:
        body = request.dialect.error_body(answer.status, answer.message, answer.kind)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return _whole(answer.status, _JSON, len(data), answer.headers) + data


def _whole(
    status: int, content_type: str, length: int, more: Mapping[str, str] | None = None
) -> bytes:
    base = {"content-type": content_type, "content-length": str(length)}
    given = {name.lower(): value for name, value in (more or {}).items()}
    return _head(status, base | given)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Scripted"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    # A chunk of no bytes would end the body.
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError as error:
        raise ClientLeftError from error


def _wait(connection: socket.socket, seconds: float) -> None:
    if seconds <= 0:
        return
    limit = None if math.isinf(seconds) else seconds
    start = time.monotonic()
    try:
        # Not select.select(), which fails on the descriptors of a test with many connections.
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            readable = selector.select(limit)
        if readable and not connection.recv(1, socket.MSG_PEEK):
            raise ClientLeftError
    except (OSError, ValueError) as error:
        raise ClientLeftError from error
    # A client that sends its next request early is no reason to answer early.
    if limit is not None and (left := start + limit - time.monotonic()) > 0:
        time.sleep(left)
