"""The tables: where they are, who makes them, and what newer ones mean."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from caw_core.errors import StorageError
from caw_core.storage import SearchQuery, SessionPage, SessionQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres.url import settings_of
from caw_testkit.postgres_server import server_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_postgres.storage import PostgresStorage

PROCESSES = 8

WRITER = """
import sys
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres import open_storage

storage = open_storage(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
info = SessionInfo(session_id=sys.argv[2], provider="codex")
for index in range(5):
    storage.persist_turn(info, Turn(index=index, input="x"))
storage.close()
"""


def schemas() -> set[str]:
    with psycopg.connect(server_url()) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace").fetchall()
    return {row[0] for row in rows}


def test_reading_makes_no_tables(storage: PostgresStorage, url: str) -> None:
    assert storage.load_trajectory("session-1") is None
    assert storage.list_sessions(SessionQuery()) == SessionPage()
    assert storage.search_sessions(SearchQuery(text="word")).hits == ()
    assert storage.read_events("session-1", "", 10, 0) == []
    assert storage.delete_session("session-1") is False
    assert settings_of(url).schema not in schemas()


@pytest.mark.parametrize("name", ["caw2", "Caw", 'a"b', "a'b", "a b", "sch%C3%A9ma"])
def test_schema_is_chosen_in_the_url(
    opened: Callable[..., PostgresStorage], info: SessionInfo, name: str
) -> None:
    url = server_url() + "&schema=" + name.replace('"', "%22").replace(" ", "%20")
    storage = opened(url)
    storage.persist_turn(info, Turn(index=0, input="x"))
    schema = settings_of(url).schema
    with psycopg.connect(server_url()) as connection:
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(
            psycopg.sql.Identifier(schema, "turns")
        )
        assert connection.execute(query).fetchone() == (1,)


def test_processes_make_the_tables_at_once(storage: PostgresStorage, url: str) -> None:
    names = [f"session-{number}" for number in range(PROCESSES)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    problems = [text for writer in writers if (text := writer.communicate("\n")[1])]
    assert problems == []
    page = storage.list_sessions(SessionQuery())
    assert {(each.info.session_id, each.num_turns) for each in page.sessions} == {
        (name, 5) for name in names
    }


def test_tables_of_a_newer_version_are_left_alone(
    storage: PostgresStorage,
    opened: Callable[..., PostgresStorage],
    url: str,
    info: SessionInfo,
) -> None:
    storage.persist_turn(info, Turn(index=0, input="x"))
    with psycopg.connect(server_url()) as connection:
        table = psycopg.sql.Identifier(settings_of(url).schema, "migrations")
        query = psycopg.sql.SQL("INSERT INTO {} (version) VALUES (999)").format(table)
        connection.execute(query)
    with pytest.raises(StorageError, match="version 999"):
        opened(url).load_trajectory(info.session_id)
