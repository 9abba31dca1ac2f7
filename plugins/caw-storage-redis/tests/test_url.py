"""The URLs that choose this storage."""

from __future__ import annotations

import pytest

from caw_core.errors import ConfigError
from caw_core.registry import default_registry
from caw_storage_redis.url import settings_of


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_both_schemes_are_known(scheme: str) -> None:
    plugin = default_registry().load_storage(f"{scheme}://nobody@localhost/0")
    assert type(plugin).__name__ == "RedisStorage"
    assert settings_of(f"{scheme}://localhost").tls == (scheme == "rediss")


def test_all_parts_are_read() -> None:
    settings = settings_of(
        "redis://me:p%40ss@[::1]:7000/3?prefix=my:caw&timeout=1.5&connect_timeout=2"
        "&lease_seconds=9&wait_replicas=2"
    )
    assert settings.server == {
        "username": "me",
        "password": "p@ss",
        "host": "::1",
        "port": 7000,
        "db": 3,
        "socket_connect_timeout": 2.0,
    }
    assert (settings.prefix, settings.timeout, settings.lease_seconds) == ("my:caw", 1.5, 9.0)
    assert settings.wait_replicas == 2


def test_socket_takes_the_place_of_host_and_port() -> None:
    settings = settings_of("redis://:secret@/1?socket=%2Frun%2Fredis.sock")
    assert (settings.server["path"], settings.server["db"]) == ("/run/redis.sock", 1)
    assert "host" not in settings.server
    for wrong in ("redis://localhost?socket=/x", "rediss:///0?socket=/x"):
        with pytest.raises(ConfigError, match="socket"):
            settings_of(wrong)


def test_nothing_hangs_by_default() -> None:
    settings = settings_of("redis://localhost")
    assert settings.timeout == settings.server["socket_connect_timeout"] == 5


def test_options_of_tls_need_tls() -> None:
    options = "ssl_ca_certs=/ca.pem&ssl_cert_reqs=none"
    server = settings_of(f"rediss://localhost?{options}").server
    assert (server["ssl_ca_certs"], server["ssl_cert_reqs"]) == ("/ca.pem", "none")
    with pytest.raises(ConfigError, match="rediss"):
        settings_of(f"redis://localhost?{options}")


@pytest.mark.parametrize(
    "query",
    [
        "prefix=",
        "prefix=" + "a" * 65,
        "prefix=%7Ba%7D",
        "prefix=*",
        "timeout=0",
        "timeout=-1",
        "timeout=nan",
        "connect_timeout=1e9",
        "lease_seconds=0.5",
        "wait_replicas=x",
        "socket=",
        "prefx=caw",
    ],
)
def test_option_that_makes_no_sense_is_refused(query: str) -> None:
    name = query.partition("=")[0]
    with pytest.raises(ConfigError, match=name):
        settings_of(f"redis://localhost?{query}")
