"""Each kind of step, as a client sees it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from caw_testkit.modelserver import (
    RecordedRequest,
    Reply,
    Usage,
    big,
    drop,
    echo,
    garbage,
    hang,
    reply,
    slow,
    text,
)

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Ask

PATH = "/v1/responses"


def open_socket(server: ModelServer, body: bytes = b'{"stream": true}') -> socket.socket:
    port = int(server.url.rpartition(":")[2])
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def outcome_of(request: RecordedRequest) -> str:
    """Wait until something became of *request*."""
    end = time.monotonic() + 5
    while request.outcome == "pending" and time.monotonic() < end:
        time.sleep(0.01)
    return request.outcome


def test_slow_spreads_the_stream(server: ModelServer) -> None:
    server.script(slow(reply(text("a b c d")), seconds=0.4, before=0.1))
    start = time.monotonic()
    with open_socket(server) as client:
        first = client.recv(65536)
        began = time.monotonic() - start
        pieces = [first]
        while not pieces[-1].endswith(b"0\r\n\r\n"):
            pieces.append(client.recv(65536))
    assert 0.1 <= began < 0.4
    assert 0.5 <= time.monotonic() - start < 2
    assert len(pieces) > 3
    assert outcome_of(server.requests[0]) == "sent"


def test_slow_document_comes_late(server: ModelServer, ask: Ask) -> None:
    server.script(slow(reply(text("late")), seconds=0.2))
    start = time.monotonic()
    ask(PATH, {})
    assert time.monotonic() - start >= 0.2


def test_deltas_are_as_many_as_asked_for(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("x" * 1000), deltas=500))
    events = ask(PATH, {"stream": True}).events
    assert sum(event["type"] == "response.output_text.delta" for event in events) == 500


@pytest.mark.parametrize("stream", [True, False])
def test_drop_in_the_middle(server: ModelServer, ask: Ask, *, stream: bool) -> None:
    server.script(drop(reply(text("one two three")), after_bytes=100))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(PATH, {"stream": stream})
    assert len(caught.value.partial) == 100
    assert server.requests[0].outcome == "cut"
    assert server.requests[0].usage is None


def test_drop_later_than_the_end_cuts_nothing(server: ModelServer, ask: Ask) -> None:
    server.script(drop(reply(text("short")), after_bytes=1_000_000))
    assert ask(PATH, {"stream": True}).events[-1]["type"] == "response.completed"
    assert server.requests[0].outcome == "sent"


def test_drop_without_any_response(server: ModelServer, ask: Ask) -> None:
    server.script(drop())
    with pytest.raises(http.client.RemoteDisconnected):
        ask(PATH, {})
    assert server.requests[0].outcome == "cut"


def test_hang_notices_that_the_client_left(server: ModelServer) -> None:
    server.script(hang())
    with open_socket(server):
        [request] = server.wait_for_requests(1)
        assert request.outcome == "pending"
    assert outcome_of(request) == "client_left"


def test_a_stream_notices_that_the_client_left(server: ModelServer) -> None:
    server.script(slow(reply(text("a b c d e f")), seconds=30))
    with open_socket(server) as client:
        client.recv(1000)
    [request] = server.requests
    assert outcome_of(request) == "client_left"
    assert request.usage is None


def test_stopping_ends_answers_under_way(server: ModelServer) -> None:
    server.script(hang())
    with open_socket(server) as client:
        server.wait_for_requests(1)
        url, start = server.url, time.monotonic()
        server.stop()
        assert client.recv(10) == b""
    assert time.monotonic() - start < 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1)


def test_big_text_arrives_whole(server: ModelServer, ask: Ask) -> None:
    step = reply(big(2_000_000))
    server.script(step)
    events = ask(PATH, {"stream": True}).events
    got = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert len(got) == 2_000_000
    assert got == step.text


def test_garbage_is_sent_as_it_is(server: ModelServer, ask: Ask) -> None:
    server.script(garbage(b"\xff\x00 not an event"))
    got = ask(PATH, {"stream": True})
    assert (got.status, got.data) == (200, b"\xff\x00 not an event")


def test_a_callable_sees_the_request(server: ModelServer, ask: Ask) -> None:
    def shout(request: RecordedRequest) -> Reply:
        return reply(text(request.last_user_text().upper()))

    server.script(shout)
    got = ask(PATH, {"input": "quiet"}).json
    assert got["output"][0]["content"][0]["text"] == "QUIET"


def test_echo_answers_any_number_on_one_connection(server: ModelServer, ask: Ask) -> None:
    server.respond(echo)
    for number in range(50):
        got = ask("/v1/chat/completions", {"messages": [{"role": "user", "content": str(number)}]})
        assert got.json["choices"][0]["message"]["content"] == f"echo: {number}"
    assert server.usage == Usage(input_tokens=500, output_tokens=250)
    server.verify()


def test_many_clients_at_once(server: ModelServer) -> None:
    server.respond(lambda request: slow(echo(request), seconds=0.2))
    host = server.url.removeprefix("http://")
    got: list[bytes] = []

    def one(number: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("POST", PATH, json.dumps({"input": f"<{number}>", "stream": True}))
        got.append(connection.getresponse().read())
        connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 40
    # One after the other they would take 8 seconds.
    assert time.monotonic() - start < 5


def test_chunked_request_bodies_are_read(server: ModelServer) -> None:
    server.respond(echo)
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request("POST", PATH, iter([b'{"input"', b': "hi"}']), encode_chunked=True)
    assert b"echo: hi" in connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": -1},
        {"input_tokens": 5, "cached_tokens": 6},
        {"output_tokens": 5, "reasoning_tokens": 6},
    ],
)
def test_usage_that_cannot_be_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="tokens"):
        Usage(**counts)
