"""The URLs by which this storage is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import attrs

from caw_core.errors import ConfigError

_FORMS = "write sqlite:///relative.db or, with four slashes, sqlite:////absolute/file.db"

_CHOICES = {"synchronous": ("full", "normal"), "search": ("index", "scan")}


@attrs.frozen(kw_only=True)
class Location:
    """Where the database is, and how it is used.

    Attributes:
        path: the file, absolute.
        synchronous: ``full``: what was acknowledged survives a power cut. ``normal``: it survives
            the death of the process, and a power cut may take the last turns; the file stays whole.
        search: ``index``: words are looked up in a full-text index, where SQLite has FTS5.
            ``scan``: all texts are read for each search, and the file is smaller.
    """

    path: Path
    synchronous: str = "full"
    search: str = "index"


def location_of_url(url: str) -> Location:
    """Return what *url* says; a relative path starts at the current folder.

    The slashes are SQLAlchemy's ("Database URLs", section SQLite), which people know. Taken apart
    by hand, because `urllib.parse.urlsplit` removes line breaks and tabs from a URL (documented
    under "URL parsing security"), and a file's name may hold them.

    Raises:
        ConfigError: another scheme, a host, an unknown option, a fragment, or no file.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "sqlite":
        msg = f"{url!r} is no URL of this storage: {_FORMS}"
        raise ConfigError(msg)
    if "#" in rest:
        msg = f"{url!r} has a '#', which means nothing here; in a name, write %23"
        raise ConfigError(msg)
    place, _, query = rest.partition("?")
    host, slash, encoded = place.removeprefix("//").partition("/")
    if not place.startswith("//") or host:
        found = f"names the host {host!r}" if place.startswith("//") else "has no slashes"
        msg = f"{url!r} {found}: {_FORMS}"
        raise ConfigError(msg)
    decoded = unquote_to_bytes(encoded)
    if decoded in (b"", b":memory:") or not slash:
        msg = f"{url!r} names no file: {_FORMS}. To keep sessions in memory only, use memory:"
        raise ConfigError(msg)
    if b"\0" in decoded or decoded.endswith(b"/"):
        msg = f"{url!r} names no file: {_FORMS}"
        raise ConfigError(msg)
    name = os.fsdecode(decoded)
    _refuse_missing_slash(url, name)
    return Location(path=Path(name).absolute(), **_options(url, query))


def _refuse_missing_slash(url: str, name: str) -> None:
    meant = Path("/", name)
    if Path(name).is_absolute() or Path(name).parent.exists() or len(meant.parents) == 1:
        return
    if meant.parent.exists():
        msg = f"{url!r} is relative to the current folder; for {meant}, {_FORMS}"
        raise ConfigError(msg)


def _options(url: str, query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in _CHOICES:
            known = ", ".join(_CHOICES)
            msg = f"{url!r} has the option {name!r}; there are: {known}"
            raise ConfigError(msg)
        if value not in _CHOICES[name]:
            msg = f"{url!r}: {name} is one of {', '.join(_CHOICES[name])}, not {value!r}"
            raise ConfigError(msg)
        found[name] = value
    return found
