"""Records in a browser: what is shown, and to whom."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from caw_core.errors import ConfigError
from caw_viewer import start_viewer_server

from .conftest import EVIL, Client

if TYPE_CHECKING:
    from caw_core import Store


def test_sessions_are_listed_newest_first_and_page_by_page(client: Client) -> None:
    first = client.ask("/").text
    assert re.findall(r'href="/session/(s\d+)"', first) == [f"s{n}" for n in range(59, 9, -1)]
    (more,) = re.findall(r'href="(/\?cursor=[^"]+)"', first)
    assert re.findall(r'href="/session/(s\d+)"', client.ask(more).text) == [
        f"s{n}" for n in range(9, -1, -1)
    ]


def test_session_has_a_page_with_a_way_back(client: Client) -> None:
    page = client.ask("/session/s7")
    assert "prompt 7" in page.text
    assert "answer 7" in page.text
    assert '<a href="/">All sessions</a>' in page.text


def test_search_leads_to_the_turn(client: Client) -> None:
    page = client.ask("/search?q=answer+42").text
    assert 'href="/session/s42#turn-0"' in page
    assert 'id="turn-0"' in client.ask("/session/s42").text
    assert "No turn has all of these words" in client.ask("/search?q=nowhere").text


@pytest.mark.parametrize(
    "path", ["/", "/session/s59", "/search?q=prompt+59", f"/search?q={quote(EVIL)}"]
)
def test_what_agents_wrote_is_text(client: Client, path: str) -> None:
    page = client.ask(path).text
    assert "<script" not in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/session/nothing", 404),
        ("/session/..%2F..%2Fetc", 404),
        ("/session/%00", 400),
        ("/document/0", 404),
        ("/etc/passwd", 404),
        ("/?cursor=none-of-ours", 400),
        ("/search?q=", 400),
    ],
)
def test_what_is_not_there_is_said_so(client: Client, path: str, status: int) -> None:
    assert client.ask(path).status == status


def test_nothing_is_shown_without_the_key(client: Client) -> None:
    wrong = client.cookie[:-1] + ("A" if client.cookie[-1] != "A" else "B")
    for cookie in ("", wrong, "caw_viewer=x", "\xff"):
        answer = client.ask("/session/s7", cookie=cookie)
        assert (answer.status, "prompt" in answer.text) == (403, False)
    assert client.ask("/?key=wrong", cookie="").status == 403


def test_key_goes_into_a_cookie_that_no_other_page_can_use(client: Client) -> None:
    assert client.first.status == 303
    assert {"HttpOnly", "SameSite=Strict"} <= {
        part.strip() for part in client.first.headers["Set-Cookie"].split(";")
    }
    key = client.query.partition("=")[2]
    assert len(key) >= 43  # 256 bits in base 64
    assert key not in client.ask("/").text


def test_key_leads_to_the_page_that_was_asked_for_and_not_elsewhere(client: Client) -> None:
    query = client.query
    for path, place in (("/session/s7", "/session/s7"), ("//evil.example/x", "/evil.example/x")):
        assert client.ask(f"{path}?{query}", cookie="").headers["Location"] == place


def test_page_of_another_name_cannot_reach_it(client: Client) -> None:
    assert client.ask("/session/s7", host="evil.example").status == 403
    assert client.ask("/session/s7", host=f"localhost:{client.port}").status == 200


def test_answers_forbid_scripts_frames_and_keeping(client: Client) -> None:
    headers = client.ask("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(client: Client, method: str) -> None:
    assert client.ask("/session/s7", method=method).status == 501


def test_documents_are_shown_and_nothing_beside_them(tmp_path: Path, store: Store) -> None:
    record = store.load("s7")
    assert record is not None
    (tmp_path / "run.json").write_text(json.dumps(record.to_dict()))
    (tmp_path / "broken.json").write_text("{")
    with start_viewer_server(tmp_path / "run.json", str(tmp_path / "broken.json")) as server:
        client = Client(server.url)
        assert "run.json" in client.ask("/").text
        assert "answer 7" in client.ask("/document/0").text
        broken = client.ask("/document/1")
        assert (broken.status, "no JSON document" in broken.text) == (500, True)
        assert client.ask("/document/2").status == 404
        assert client.ask("/session/s7").status == 404


def test_documents_are_opened_by_their_path_only_where_that_was_allowed(
    tmp_path: Path, store: Store
) -> None:
    record = store.load("s7")
    assert record is not None
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record.to_dict()))
    with start_viewer_server(any_file=True) as server:
        client = Client(server.url)
        assert "answer 7" in client.ask(f"/file?path={quote(str(path))}").text
        for other in ("/etc/passwd", "", "\0", str(tmp_path)):
            answer = client.ask(f"/file?path={quote(other)}")
            assert (answer.status, "root:" in answer.text) == (500, False)
    with start_viewer_server(store) as server:
        assert Client(server.url).ask(f"/file?path={quote(str(path))}").status == 404


def test_viewer_of_nothing_or_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="something to show"):
        start_viewer_server()
    with pytest.raises(ConfigError, match="not a file"):
        start_viewer_server(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{}")
    with (
        start_viewer_server(tmp_path / "a.json") as server,
        pytest.raises(ConfigError, match="port"),
    ):
        start_viewer_server(tmp_path / "a.json", port=server.port)


def test_stop_ends_its_threads_and_frees_its_port(store: Store) -> None:
    before = threading.active_count()
    server = start_viewer_server(store)
    assert server.check_status()
    assert server.url.partition("key=")[2] not in repr(server)
    server.stop()
    server.stop()
    assert not server.check_status()
    with start_viewer_server(store, port=server.port):
        pass
    assert threading.active_count() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_shows_a_storage_until_it_is_ended(
    tmp_path: Path, store: Store, number: signal.Signals
) -> None:
    assert store.load("s7") is not None
    command = [sys.executable, "-m", "caw_core", "viewer", "--data-dir", str(tmp_path / "records")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as run:
        assert run.stdout is not None
        client = Client(run.stdout.readline().strip())
        assert "prompt 7" in client.ask("/session/s7").text
        run.send_signal(number)
        run.wait(60)
    assert run.returncode == (130 if number == signal.SIGINT else 0)
