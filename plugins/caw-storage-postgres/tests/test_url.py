"""The URLs that choose this storage."""

from __future__ import annotations

import pytest

from caw_core.errors import ConfigError
from caw_core.registry import default_registry
from caw_storage_postgres.url import settings_of


def test_both_schemes_are_known() -> None:
    for scheme in ("postgres", "postgresql"):
        plugin = default_registry().load_storage(f"{scheme}://nobody@localhost/none")
        assert type(plugin).__name__ == "PostgresStorage"


def test_parameters_of_libpq_pass_through() -> None:
    settings = settings_of(
        "postgresql://u:p%40ss@h1:1,h2:2/db?sslmode=require&connect_timeout=3&options=-cgeqo%3Doff"
    )
    assert settings.server == {
        "user": "u",
        "password": "p@ss",
        "host": "h1,h2",
        "port": "1,2",
        "dbname": "db",
        "sslmode": "require",
        "connect_timeout": "3",
        "options": "-cgeqo=off",
        "application_name": "caw",
    }


def test_own_options_are_read() -> None:
    settings = settings_of(
        "postgres:///db?schema=my%20caw&statement_timeout=1.5&lock_timeout=2&lease_seconds=9"
        "&max_connections=3&synchronous_commit=off"
    )
    assert (settings.schema, settings.statement_timeout, settings.lock_timeout) == (
        "my caw",
        1.5,
        2.0,
    )
    assert (settings.lease_seconds, settings.max_connections) == (9.0, 3)
    assert settings.synchronous_commit == "off"
    assert set(settings.server) == {"dbname", "connect_timeout", "application_name"}


def test_nothing_hangs_by_default() -> None:
    settings = settings_of("postgresql://localhost/db")
    assert settings.server["connect_timeout"] == 10
    assert settings.statement_timeout == 30


def test_question_mark_in_a_password_is_part_of_it() -> None:
    settings = settings_of("postgresql://u:a?schema=b@h/db?schema=c")
    assert (settings.server["password"], settings.schema) == ("a?schema=b", "c")


@pytest.mark.parametrize(
    "query",
    [
        "schema=",
        "schema=pg_caw",
        "schema=" + "a" * 64,
        "schema=a%00b",
        "schema=a%25b",
        "statement_timeout=0",
        "statement_timeout=-1",
        "statement_timeout=nan",
        "lock_timeout=1e9",
        "lease_seconds=0.5",
        "max_connections=0",
        "max_connections=1.5",
        "synchronous_commit=perhaps",
        "shema=caw",
        "connect_timout=3",
    ],
)
def test_option_that_makes_no_sense_is_refused(query: str) -> None:
    name = query.partition("=")[0]
    with pytest.raises(ConfigError, match=name):
        settings_of(f"postgresql://localhost/db?{query}")
