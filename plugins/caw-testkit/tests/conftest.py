"""A plain HTTP client for the tests of the server."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from caw_testkit.modelserver import ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Got:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The server-sent events, ``[DONE]`` left out."""
        lines = [line for line in self.data.decode().split("\n") if line.startswith("data: {")]
        return [json.loads(line.removeprefix("data: ")) for line in lines]


class Ask(Protocol):
    """Send one request over the test's one connection."""

    def __call__(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Got: ...


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """Run a server that nobody verifies."""
    with ModelServer() as running:
        yield running


@pytest.fixture
def ask(server: ModelServer) -> Iterator[Ask]:
    """Return a client with one connection that is kept alive."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)

    def send(
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Got:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        read = answer.read()
        return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, read)

    yield send
    connection.close()
