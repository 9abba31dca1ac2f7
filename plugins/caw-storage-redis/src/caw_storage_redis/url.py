"""The URLs by which this storage is chosen, and what they settle."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import attrs

from caw_core.errors import ConfigError

_FORMS = "write redis://user:password@host:port/database?prefix=caw, or rediss:// for TLS"
_DATABASE = re.compile(r"/?|/[0-9]{1,5}")
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NO_SECRET = frozenset({"", "default"})
"""Redis calls a user ``default`` whom nobody named."""


@attrs.frozen(kw_only=True)
class Settings:
    """What a URL settles.

    Attributes:
        server: how to connect, by the names of ``redis.connection.Connection``.
        tls: whether to do so with TLS.
        place: which server and which part of it, for messages; without credentials.
        prefix: what all keys begin with.
        timeout: how long the server may be silent, in seconds.
        lease_seconds: how long a lease holds from its last renewal.
        wait_replicas: how many replicas must have a write before it counts.
        secrets: what no message may have.
    """

    server: Mapping[str, Any] = attrs.field(repr=False)
    tls: bool = False
    place: str = ""
    prefix: str = "caw"
    timeout: float = 5.0
    lease_seconds: float = 30.0
    wait_replicas: int = 0
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)

    def without_secrets(self, text: str) -> str:
        """Return *text* without user and password, in the forms in which they could get into it."""
        for secret in self.secrets:
            for form in (secret, quote(secret, safe=""), repr(secret)[1:-1]):
                text = text.replace(form, "[redacted]")
        return text


def settings_of(url: str) -> Settings:
    """Return what *url* settles; no message of an error has any part of it but option's names.

    Raises:
        ConfigError: it cannot be read, or an option is unknown or makes no sense.
    """
    parts, port = _parts(url)
    tls = parts.scheme == "rediss"
    given = parse_qsl(parts.query, keep_blank_values=True)
    known = {**_OWN, **_SOCKET, **(_TLS if tls else {})}
    if unknown := sorted({name for name, _ in given} - set(known)):
        msg = f"unknown options in the URL: {', '.join(unknown)}. There are {', '.join(known)}"
        if not tls and set(unknown) <= set(_TLS):
            msg += "; those of TLS need rediss://"
        raise ConfigError(msg)
    options = {name: _read(known[name], name, value) for name, value in given}
    own = {name: value for name, value in options.items() if name in _OWN}
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    server: dict[str, Any] = {
        "db": int(parts.path.strip("/") or 0),
        "username": user or None,
        "password": password or None,
        "socket_connect_timeout": options.get("connect_timeout", 5.0),
        **{name: value for name, value in options.items() if name in _TLS},
    }
    socket = options.get("socket")
    if socket and (tls or parts.hostname):
        msg = f"the URL's option socket goes with neither a host nor rediss: {_FORMS}"
        raise ConfigError(msg)
    if socket:
        server["path"] = address = socket
    else:
        server |= {"host": parts.hostname or "localhost", "port": port or 6379}
        address = f"{server['host']}:{server['port']}"
    settings = Settings(server=server, tls=tls, **own)
    return attrs.evolve(
        settings,
        place=f"{address}/{server['db']}, prefix {settings.prefix!r}",
        secrets=tuple({user, password} - _NO_SECRET),
    )


def _parts(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss") and _DATABASE.fullmatch(parts.path):
            return parts, parts.port
    except ValueError:
        pass
    # Without what is wrong: it may be a password that was not percent-encoded.
    msg = f"the URL cannot be read; percent-encode what is special in it, and {_FORMS}"
    raise ConfigError(msg)


def _read(reader: Callable[[str], Any], name: str, value: str) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        msg = f"the URL's option {name}: {error}"
        raise ConfigError(msg) from None


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        msg = "1 to 64 letters, digits, '.', '_', ':' and '-'"
        raise ValueError(msg)
    return text


def _seconds(text: str) -> float:
    seconds = float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) else 0.0
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
    if not re.fullmatch(r"[0-9]{1,2}", text):
        msg = "a number from 0 to 99"
        raise ValueError(msg)
    return int(text)


def _choice(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            msg = f"one of {', '.join(names)}"
            raise ValueError(msg)
        return text

    return read


def _file(text: str) -> str:
    if not text or "\0" in text:
        msg = "the path of a file"
        raise ValueError(msg)
    return text


_OWN: Mapping[str, Callable[[str], Any]] = {
    "prefix": _prefix,
    "timeout": _seconds,
    "lease_seconds": _lease,
    "wait_replicas": _count,
}
_SOCKET: Mapping[str, Callable[[str], Any]] = {"connect_timeout": _seconds, "socket": _file}
_TLS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_cert_reqs": _choice("required", "none"),
}
