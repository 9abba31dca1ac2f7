"""What the tests of the viewer share: a store with sessions, and a viewer's client."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import pytest

from caw_core import Store
from caw_core.blocks import TextBlock, ToolUse
from caw_core.trajectory import SessionInfo, Turn
from caw_viewer import start_viewer_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "</pre><script>document.title = 'owned'</script><img src=x onerror=alert(1)>"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with 60 sessions, the last of which holds markup everywhere."""
    store = Store((tmp_path / "records").as_uri().replace("file:", "jsonl:", 1))
    (sink,) = store.records.storages
    for number in range(60):
        evil = EVIL if number == 59 else ""
        info = SessionInfo(session_id=f"s{number}", provider="codex", cwd=f"/here{evil}")
        output = (TextBlock(text=f"answer {number}{evil}"), ToolUse(id="1", name=f"shell{evil}"))
        turn = Turn(index=0, input=f"prompt {number}{evil}", output=output, status="completed")
        with store.leased(info.session_id):
            store.records.persist_session(sink, info)
            store.records.persist_turn(sink, info, turn, 1)
    return store


@attrs.frozen
class Answer:
    """What the viewer answered."""

    status: int
    text: str
    headers: dict[str, str]


class Client:
    """Asks a viewer as a browser does that has opened its address."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.query = address.query
        self.host, self.port = address.hostname or "", address.port or 0
        first = self.ask(f"/?{self.query}", cookie="")
        self.first = first
        self.cookie = first.headers.get("Set-Cookie", "").partition(";")[0]

    def ask(
        self, path: str, *, cookie: str | None = None, host: str = "", method: str = "GET"
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = {"Cookie": self.cookie if cookie is None else cookie}
        if host:
            headers["Host"] = host
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, text, dict(answer.getheaders()))
        finally:
            connection.close()


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    with start_viewer_server(store) as server:
        yield Client(server.url)
