"""The URLs by which this storage is chosen, and what they settle."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from caw_core.errors import ConfigError

_FORMS = "write postgresql://user:password@host:port/database?schema=caw"
_SCHEMES = ("postgres", "postgresql")

_USERINFO = re.compile(r"[^@/]*@")
"""How libpq finds the end of user and password (fe-connect.c, conninfo_uri_parse_options)."""

_SCHEMA = re.compile(r"(?!pg_)[^\x00%$]{1,63}")

COMMITS: Final = ("on", "off", "local", "remote_write", "remote_apply")
"""What PostgreSQL takes for ``synchronous_commit``."""


@attrs.frozen(kw_only=True)
class Settings:
    """What a URL settles.

    Attributes:
        server: libpq's parameters, the password among them.
        schema: where the tables are.
        statement_timeout: how long the server may take for a statement, in seconds.
        lock_timeout: how long a statement may wait for another's locks, in seconds.
        lease_seconds: how long a lease holds from its last renewal.
        max_connections: how many connections a process has at most, one more for waiting.
        synchronous_commit: PostgreSQL's setting; ``""`` leaves the server's own, unless that is
            ``off``.
    """

    server: Mapping[str, Any] = attrs.field(repr=False)
    schema: str = "caw"
    statement_timeout: float = 30.0
    lock_timeout: float = 10.0
    lease_seconds: float = 30.0
    max_connections: int = 8
    synchronous_commit: str = ""

    @property
    def place(self) -> str:
        """Which database this is, for messages: without password and options."""
        host = self.server.get("host") or self.server.get("hostaddr") or "localhost"
        port = f":{self.server['port']}" if "port" in self.server else ""
        return f"{host}{port}/{self.server.get('dbname', '')}, schema {self.schema!r}"

    def without_secrets(self, text: str) -> str:
        """Return *text* without the passwords, in the forms in which one could get into it."""
        for name in ("password", "sslpassword", "oauth_client_secret"):
            secret = str(self.server.get(name) or "")
            for form in {secret, quote(secret, safe=""), repr(secret)[1:-1]} - {""}:
                text = text.replace(form, "[redacted]")
        return text


def settings_of(url: str) -> Settings:
    """Return what *url* settles; no message of an error has any part of it.

    Raises:
        ConfigError: libpq cannot read it, or an option is unknown or makes no sense.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in _SCHEMES:
        msg = f"this is no URL of a PostgreSQL database: {_FORMS}"
        raise ConfigError(msg)
    start = match.end() if (match := _USERINFO.match(rest)) else 0
    address, _, query = rest[start:].partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    own = {name: _read(name, value) for name, value in given if name in _OWN}
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    if unknown := sorted({name for name, _ in given} - known - set(_OWN)):
        msg = (
            f"unknown options in the URL: {', '.join(unknown)}. There are {', '.join(_OWN)}, and "
            "those of libpq, such as connect_timeout, sslmode and application_name"
        )
        raise ConfigError(msg)
    left = "&".join(part for part in query.split("&") if part.partition("=")[0] not in _OWN)
    plain = f"postgresql://{rest[:start]}{address}" + (f"?{left}" if left else "")
    server: Mapping[str, Any] = {}
    with contextlib.suppress(psycopg.Error, ValueError):
        server = conninfo_to_dict(plain)
    port = str(server.get("port") or "")
    if (not server and plain != "postgresql://") or not re.fullmatch(r"[0-9,]*", port):
        # Without libpq's own words: they quote what it cannot read, the password perhaps.
        msg = f"libpq cannot read the URL; percent-encode what is special in it, and {_FORMS}"
        raise ConfigError(msg)
    # A server that cannot be reached must not hang a turn; libpq's own default is to wait.
    return Settings(server={"connect_timeout": 10, "application_name": "caw", **server}, **own)


def _read(name: str, value: str) -> Any:
    try:
        return _OWN[name](value)
    except ValueError as error:
        msg = f"the URL's option {name}: {error}"
        raise ConfigError(msg) from None


def _schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text) or len(text.encode("utf-8", "surrogatepass")) > 63:  # noqa: PLR2004 - PostgreSQL's NAMEDATALEN
        msg = "1 to 63 bytes, without % and $, and not beginning with pg_"
        raise ValueError(msg)
    return text


def _seconds(text: str) -> float:
    seconds = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else 0.0
    if not 0.1 <= seconds <= 86_400:  # noqa: PLR2004 - more than a day is a mistake
        msg = "a number of seconds from 0.1 to 86400"
        raise ValueError(msg)
    return seconds


def _lease(text: str) -> float:
    if (seconds := _seconds(text)) < 1:
        msg = "at least one second"
        raise ValueError(msg)
    return seconds


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        msg = "a number from 1 to 9999"
        raise ValueError(msg)
    return int(text)


def _commit(text: str) -> str:
    if text not in COMMITS:
        msg = f"one of {', '.join(COMMITS)}"
        raise ValueError(msg)
    return text


_OWN: Mapping[str, Callable[[str], Any]] = {
    "schema": _schema,
    "statement_timeout": _seconds,
    "lock_timeout": _seconds,
    "lease_seconds": _lease,
    "max_connections": _count,
    "synchronous_commit": _commit,
}
