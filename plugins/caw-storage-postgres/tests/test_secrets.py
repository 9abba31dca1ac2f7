"""No part of a URL's credentials is in an error, a log, a name or a note."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest

from caw_core.errors import CawError, ConfigError, StorageError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_postgres import open_storage
from caw_testkit.postgres_server import server_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_postgres.storage import PostgresStorage

SECRET = "ca/na:ry@100%?&ü"
CODED = quote(SECRET, safe="")

TARGETS = {
    "refused": f"postgresql://caw:{CODED}@127.0.0.1:1/x",
    "in an option": f"postgresql://caw@127.0.0.1:1/x?password={CODED}",
    "no such host": f"postgresql://caw:{CODED}@host.invalid/x",
    "several hosts": f"postgresql://caw:{CODED}@127.0.0.1:1,127.0.0.1:2/x",
    "no such file": f"postgresql://caw:{CODED}@127.0.0.1:1/x?sslmode=verify-full&sslrootcert=/no",
    "in a socket's folder": f"postgresql://caw:{CODED}@/x?host=/nowhere",
}
UNREADABLE = {
    "not encoded": "postgresql://caw:canary%zz@localhost/x",
    "port": "postgresql://caw:canary@localhost:canary/x",
    "bracket": "postgresql://caw:canary@[::1/x",
    "scheme": "mysql://caw:canary@localhost/x",
    "option": "postgresql://caw:canary@localhost/x?canary-option=canary",
    "value": "postgresql://caw:canary@localhost/x?lease_seconds=canary",
    "no address": "postgresql:canary",
}


def traces(error: BaseException) -> str:
    """Return all that an error shows: its chain, its notes and its arguments."""
    shown = traceback.format_exception(error)
    chain: BaseException | None = error
    while chain is not None:
        shown += [repr(chain), str(chain.args), *getattr(chain, "__notes__", ())]
        chain = chain.__cause__ or chain.__context__
    return "\n".join(shown)


def must_be_clean(text: str) -> None:
    for form in (SECRET, CODED, repr(SECRET)[1:-1], "canary", "ca/na"):
        # The name of an unknown option is told; it is no credential.
        assert form not in text.replace("canary-option", "")


@pytest.mark.parametrize("kind", TARGETS)
def test_password_is_in_no_error_and_no_log(
    opened: Callable[..., PostgresStorage],
    caplog: pytest.LogCaptureFixture,
    info: SessionInfo,
    kind: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = opened(TARGETS[kind] + ("&" if "?" in TARGETS[kind] else "?") + "connect_timeout=2")
    with pytest.raises(StorageError) as raised:
        storage.persist_turn(info, Turn(index=0, input="x"))
    must_be_clean(traces(raised.value) + caplog.text + repr(storage) + str(storage))


def test_refused_password_is_in_no_error(
    opened: Callable[..., PostgresStorage], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server_url()
    with psycopg.connect(url) as connection:
        user, right = connection.info.user, connection.info.password
    wrong = opened(url.replace(f"{user}:{right}@", f"{user}:{CODED}@"))
    with pytest.raises(StorageError, match="password authentication failed") as raised:
        wrong.load_trajectory("session-1")
    must_be_clean(traces(raised.value) + caplog.text)
    assert right not in caplog.text


def test_right_password_with_special_characters_is_taken(
    opened: Callable[..., PostgresStorage], url: str
) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        user, right = connection.info.user, connection.info.password
        connection.execute("DROP ROLE IF EXISTS special")
        query = psycopg.sql.SQL("CREATE ROLE special LOGIN PASSWORD {}")
        connection.execute(query.format(psycopg.sql.Literal(SECRET)))
    storage = opened(url.replace(f"{user}:{right}@", f"special:{CODED}@"))
    assert storage.load_trajectory("session-1") is None


@pytest.mark.parametrize("kind", UNREADABLE)
def test_url_that_cannot_be_read_is_not_repeated(kind: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_storage(UNREADABLE[kind])
    must_be_clean(traces(raised.value))


def test_storage_that_fails_in_an_agent_shows_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from caw_core import Agent

    caplog.set_level(logging.DEBUG)
    agent = Agent("echo", storage=TARGETS["refused"])
    with pytest.raises(CawError) as raised:
        agent.completion("Hello")
    must_be_clean(traces(raised.value) + caplog.text + repr(agent))
