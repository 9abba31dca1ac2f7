"""The pages: lists, one session, and what went wrong. What agents wrote is text on all of them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from caw_core.errors import UnsupportedError
from caw_core.formats.html import page, to_html
from caw_core.storage import SearchQuery, SessionQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core import Store
    from caw_core.storage import SessionSummary
    from caw_viewer.records import Records

_ON_ONE_PAGE = 50


def sessions_page(records: Records, cursor: str) -> str:
    """Return the list of everything that there is to see.

    Raises:
        ConfigError: the cursor is none of the storage's.
        StorageError: the storage cannot tell.
    """
    body = ["<h1>Sessions</h1>"]
    if records.any_file:
        body.append(
            '<form action="/file"><input name="path" aria-label="Path of a document" required '
            'placeholder="path of a document"> <button>Open</button></form>'
        )
    if records.documents:
        rows = [
            (f'<a href="/document/{number}">{html.escape(path.name)}</a>', _text(str(path.parent)))
            for number, path in enumerate(records.documents)
        ]
        body.append(_table(("Document", "Folder"), rows))
    if records.store is not None:
        body += _sessions(records.store, cursor)
    return page("Sessions", "\n".join(body))


def _sessions(store: Store, cursor: str) -> Iterator[str]:
    yield _search_form("")
    try:
        found = store.list(SessionQuery(limit=_ON_ONE_PAGE, cursor=cursor))
    except UnsupportedError as error:
        yield f'<p class="failed">{_text(error)}</p>'
        return
    head = ("Session", "Agent", "Turns", "Last", "Written (UTC)")
    yield _table(head, [_row(summary) for summary in found.sessions])
    if not found.sessions:
        yield '<p class="quiet">There are none.</p>'
    for session_id, reason in found.unreadable:
        yield f'<p class="failed">{_text(session_id)} cannot be read: {_text(reason)}</p>'
    if found.next_cursor:
        yield f'<p><a href="/?{urlencode({"cursor": found.next_cursor})}">Older sessions</a></p>'


def _row(summary: SessionSummary) -> tuple[str, ...]:
    info = summary.info
    return (
        _link(info.session_id, summary.title or info.session_id),
        _text(" ".join(filter(None, (info.provider, info.model)))),
        str(summary.num_turns),
        _text(summary.status),
        _text(summary.updated_at[:19].replace("T", " ")),
    )


def search_page(store: Store, text: str) -> str:
    """Return the turns in which the words of *text* occur.

    Raises:
        ConfigError: there are no words in it.
        StorageError: the storage cannot tell.
    """
    found = store.search(SearchQuery(text=text, limit=_ON_ONE_PAGE))
    rows = [
        (_link(hit.info.session_id, f"turn {hit.turn}", hit.turn), _text(hit.snippet))
        for hit in found.hits
    ]
    more = '<p class="quiet">There are more; add a word.</p>' if found.next_cursor else ""
    none = "" if rows else '<p class="quiet">No turn has all of these words.</p>'
    parts = ['<nav><a href="/">All sessions</a></nav>', "<h1>Search</h1>", _search_form(text)]
    return page("Search", "\n".join([*parts, _table(("Turn", "Text"), rows), none, more]))


def session_page(store: Store, session_id: str) -> str | None:
    """Return a session's page; None if there is no such session.

    Raises:
        StorageError: the storage cannot tell.
        TrajectoryError: the record is damaged.
    """
    record = store.load(session_id)
    return None if record is None else to_html(record, back="/")


def problem_page(title: str, reason: object) -> str:
    """Return a page that says what went wrong."""
    return page(
        title, f'<h1>{title}</h1><p class="failed">{_text(reason)}</p><p><a href="/">Back</a></p>'
    )


def _search_form(text: str) -> str:
    value = html.escape(text, quote=True)
    return (
        '<form action="/search"><input type="search" name="q" placeholder="words" '
        f'aria-label="Words" required value="{value}"> <button>Search</button></form>'
    )


def _link(session_id: str, text: str, turn: int | None = None) -> str:
    place = "" if turn is None else f"#turn-{turn}"
    return f'<a href="/session/{quote(session_id, safe="")}{place}">{_text(text)}</a>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = ["".join(f"<th>{name}</th>" for name in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text(value: object) -> str:
    return html.escape(str(value))
