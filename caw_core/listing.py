"""What storages share where they list sessions: titles, cursors, a filter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.storage import SessionPage, SessionQuery, SessionSummary

TITLE_LENGTH = 80
"""How long a title is at most, in characters."""

_CURSOR = re.compile(r"([0-9]{1,20})-(.+)", re.DOTALL)


def title_of(prompt: str) -> str:
    """Return the beginning of a session's first prompt on one line, as a title."""
    words = " ".join(prompt[: 4 * TITLE_LENGTH].split())
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1] + "…"


@attrs.frozen(order=True)
class Place:
    """A session's place in a list; the cursor of a page is that of its last session.

    So sessions that are written meanwhile move to the front, and no other is shown twice or left
    out.

    Attributes:
        written: when it was last written, as a whole number in the storage's own unit.
        session_id: its id, which parts those that were written at the same time.
    """

    written: int
    session_id: str

    @property
    def cursor(self) -> str:
        """This place, for `caw_core.storage.SessionPage.next_cursor`."""
        return f"{self.written}-{self.session_id}"

    @classmethod
    def at(cls, cursor: str) -> Place:
        """Return the place that *cursor* names; raise `ConfigError` if it names none."""
        match = _CURSOR.fullmatch(cursor)
        if match is None:
            msg = f"{cursor!r} is no cursor of this storage; pass SessionPage.next_cursor"
            raise ConfigError(msg)
        return cls(int(match[1]), match[2])


def every_page(
    list_page: Callable[[SessionQuery], SessionPage], query: SessionQuery
) -> Iterator[SessionPage]:
    """Yield the page that *query* asks for and all that follow it."""
    following: SessionQuery | None = query
    while following is not None:
        page = list_page(following)
        yield page
        following = next_query(following, page)


def next_query(query: SessionQuery, page: SessionPage) -> SessionQuery | None:
    """Return what to ask for after *page*, which *query* asked for; None if it was the last."""
    return attrs.evolve(query, cursor=page.next_cursor) if page.next_cursor else None


def utc_text(seconds: float) -> str:
    """Return a time, in seconds since 1970, as records hold it."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def matches(summary: SessionSummary, query: SessionQuery) -> bool:
    """Tell whether a session is one that *query* asks for, whatever its page."""
    info = summary.info
    written = datetime.fromisoformat(summary.updated_at)
    return (
        query.provider in ("", info.provider)
        and query.cwd in ("", info.cwd)
        and query.status in ("", summary.status)
        and (query.since is None or written >= query.since)
        and (query.until is None or written < query.until)
        and all(
            name in info.metadata and _same(info.metadata[name], value)
            for name, value in query.metadata.items()
        )
        and set(query.tags) <= set(info.tags)
    )


def _same(stored: object, wanted: object) -> bool:
    # In JSON, true is not 1; in Python it is.
    return isinstance(stored, bool) == isinstance(wanted, bool) and bool(stored == wanted)
