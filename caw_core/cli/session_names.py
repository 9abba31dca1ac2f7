"""How sessions are named on the command line: by id, by the beginning of one, or ``last``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors import ConfigError, StorageError
from caw_core.handles import is_session_id
from caw_core.storage import SessionQuery, TurnRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.store import Store

LAST = "last"
MIN_PREFIX = 4
_PAGE = 200
_SHOWN = 5


def find_session(store: Store, name: str) -> str:
    """Return the id of the session that *name* means.

    Args:
        store: where to look.
        name: a whole id, at least four characters of its beginning, or ``last``.

    Raises:
        ConfigError: there is no such session, or more than one.
        StorageError: the records could not be read.
    """
    if name == LAST:
        page = store.list(SessionQuery(limit=1))
        if page.sessions:
            return page.sessions[0].info.session_id
        if page.unreadable:
            session_id, reason = page.unreadable[0]
            msg = f"no session can be read: {session_id}: {reason}"
            raise StorageError(msg)
        msg = "there is no session yet"
        raise ConfigError(msg)
    if is_session_id(name) and store.load(name, TurnRange(last=0)) is not None:
        return name
    found = list(_beginning_with(store, name)) if len(name) >= MIN_PREFIX else []
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


def _beginning_with(store: Store, name: str) -> Iterator[str]:
    for summary in store.sessions(SessionQuery(limit=_PAGE)):
        if summary.info.session_id.startswith(name):
            yield summary.info.session_id
