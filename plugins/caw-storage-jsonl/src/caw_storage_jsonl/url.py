"""The URLs by which this storage is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from caw_core.errors import ConfigError

_FORMS = "write jsonl:///absolute/folder or jsonl:relative/folder"


def folder_of_url(url: str) -> Path:
    """Return the absolute folder that *url* names; a relative one starts at the current folder.

    Taken apart by hand, because `urllib.parse.urlsplit` removes line breaks and tabs from a URL
    (documented under "URL parsing security"), and a folder's name may hold them.

    Raises:
        ConfigError: another scheme, a host, a query, a fragment, or no path.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "jsonl":
        msg = f"{url!r} is no URL of this storage: {_FORMS}"
        raise ConfigError(msg)
    for mark, encoded in (("?", "%3F"), ("#", "%23")):
        if mark in rest:
            msg = f"{url!r} has a {mark!r}, which means nothing here; in a name, write {encoded}"
            raise ConfigError(msg)
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host:
            msg = f"{url!r} names the host {host!r}, but a folder is always here: {_FORMS}"
            raise ConfigError(msg)
        rest = slash + path
    decoded = unquote_to_bytes(rest)
    if not decoded.strip(b"/") or b"\0" in decoded:
        msg = f"{url!r} names no folder: {_FORMS}"
        raise ConfigError(msg)
    path = os.fsdecode(decoded)
    if os.name == "nt" and path[:1] == "/" and path[2:3] == ":":
        path = path[1:]
    return Path(path).absolute()
