"""No part of a URL's credentials is in an error, a log, a name or a note."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from caw_core.errors import CawError, ConfigError, StorageError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_redis import open_storage
from caw_storage_redis.url import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_redis.storage import RedisStorage
    from caw_testkit.redis_server import RedisServer

SECRET = "ca/na:ry@100%?&ü"
CODED = quote(SECRET, safe="")

TARGETS = {
    "refused": f"redis://canary:{CODED}@127.0.0.1:1/0",
    "TLS": f"rediss://canary:{CODED}@127.0.0.1:1/0",
    "no such file": f"rediss://canary:{CODED}@127.0.0.1:1?ssl_ca_certs=/no",
    "no such host": f"redis://canary:{CODED}@host.invalid/0",
    "no host's name": f"redis://canary:{CODED}@{'a' * 70}.b/0",
    "no such socket": f"redis://canary:{CODED}@/0?socket=/nowhere",
}
UNREADABLE = {
    "port": "redis://caw:canary@localhost:canary/0",
    "database": "redis://caw:canary@localhost/canary",
    "not encoded": "redis://caw:ca/nary@localhost/0",
    "bracket": "redis://caw:canary@[::1/0",
    "scheme": "mysql://caw:canary@localhost/0",
    "option": "redis://caw:canary@localhost/0?canary-option=canary",
    "value": "redis://caw:canary@localhost/0?lease_seconds=canary",
    "no address": "redis:canary",
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
    opened: Callable[..., RedisStorage],
    caplog: pytest.LogCaptureFixture,
    info: SessionInfo,
    kind: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = opened(TARGETS[kind] + ("&" if "?" in TARGETS[kind] else "?") + "connect_timeout=2")
    with pytest.raises(StorageError) as raised:
        storage.persist_turn(info, Turn(index=0, input="x"))
    shown = repr(storage) + str(storage) + repr(settings_of(TARGETS[kind]))
    must_be_clean(traces(raised.value) + caplog.text + shown)


def test_refused_password_is_in_no_error(
    server: RedisServer, opened: Callable[..., RedisStorage], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    right = settings_of(server.url).server["password"]
    wrong = opened(server.url.replace(f":{right}@", f"canary:{CODED}@"))
    with pytest.raises(StorageError, match="invalid username-password pair") as raised:
        wrong.load_trajectory("session-1")
    must_be_clean(traces(raised.value) + caplog.text)
    assert right not in caplog.text


def test_right_password_with_special_characters_is_taken(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    client.execute_command("ACL", "SETUSER", "special", "on", f">{SECRET}", "~*", "+@all")
    right = settings_of(server.url).server["password"]
    storage = opened(server.url.replace(f":{right}@", f"special:{CODED}@"))
    assert storage.load_trajectory("session-1") is None


def test_name_of_a_user_without_rights_is_in_no_error(
    server: RedisServer, client: Any, opened: Callable[..., RedisStorage]
) -> None:
    client.execute_command("ACL", "SETUSER", "canary", "on", ">secret", "~other:*", "+@all")
    right = settings_of(server.url).server["password"]
    storage = opened(server.url.replace(f":{right}@", "canary:secret@"))
    with pytest.raises(StorageError, match="permissions") as raised:
        storage.load_trajectory("session-1")
    must_be_clean(traces(raised.value))


def test_nothing_is_said_before_the_connection_is_a_secret_one(
    opened: Callable[..., RedisStorage],
) -> None:
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            connection, _ = listener.accept()
            with connection:
                said.append(connection.recv(10_000))

        thread = threading.Thread(target=listen)
        thread.start()
        storage = opened(f"rediss://canary:{CODED}@127.0.0.1:{listener.getsockname()[1]}/0")
        with pytest.raises(StorageError):
            storage.load_trajectory("session-1")
        thread.join()
    # A record of TLS with a handshake in it: RFC 8446, section 5.1.
    assert said[0][:2] == b"\x16\x03"
    assert b"AUTH" not in said[0]


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
