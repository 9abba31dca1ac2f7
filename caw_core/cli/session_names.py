"""How sessions are named on the command line: by id, by the beginning of one, or ``last``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.handles import is_session_id
from caw_core.storage import SessionPage, SessionQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.plugins import RecordPlugins

LAST = "last"
MIN_PREFIX = 4
_PAGE = 200
_SHOWN = 5


def find_session(records: RecordPlugins, name: str) -> str:
    """Return the id of the session that *name* means.

    Args:
        records: where to look.
        name: a whole id, at least four characters of its beginning, or ``last``.

    Raises:
        ConfigError: there is no such session, or more than one.
        StorageError: the records could not be read.
    """
    if name == LAST:
        page = list_page(records, SessionQuery(limit=1))
        if not page.sessions:
            msg = "there is no session yet"
            raise ConfigError(msg)
        return page.sessions[0].info.session_id
    if is_session_id(name) and records.load_trajectory(name) is not None:
        return name
    found = [each for each in _ids(records) if len(name) >= MIN_PREFIX and each.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        msg = f"{len(found)} sessions begin with {name!r}: {some}"
    else:
        msg = (
            f"there is no session {name!r}: give an id, at least {MIN_PREFIX} characters of its "
            f"beginning, or {LAST!r}; 'caw sessions' lists them"
        )
    raise ConfigError(msg)


def list_page(records: RecordPlugins, query: SessionQuery) -> SessionPage:
    """Ask for a page of sessions; raise `UnsupportedError` if no storage can list."""
    page = records.list_sessions(query)
    if page is None:
        msg = "this storage cannot list its sessions; name one by its whole id"
        raise UnsupportedError(msg, options=("list_sessions",))
    return page


def _ids(records: RecordPlugins) -> Iterator[str]:
    cursor = ""
    while True:
        page = list_page(records, SessionQuery(limit=_PAGE, cursor=cursor))
        yield from (each.info.session_id for each in page.sessions)
        cursor = page.next_cursor
        if not cursor:
            return
