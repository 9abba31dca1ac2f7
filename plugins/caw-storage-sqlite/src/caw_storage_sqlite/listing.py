"""Lists of sessions, made from the small tables alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from caw_core.errors import ConfigError, TrajectoryError
from caw_core.listing import Place, utc_text
from caw_core.storage import SessionPage, SessionSummary
from caw_storage_sqlite import documents
from caw_storage_sqlite.lease import HOLDER, NOW, Holder
from caw_storage_sqlite.reading import LARGEST

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.storage import SessionQuery
    from caw_storage_sqlite.connections import Connection

_STATUS = f"""
CASE WHEN status <> 'running' THEN status
    WHEN until > {NOW} AND NOT caw_is_dead({HOLDER}) THEN status
    ELSE 'unknown' END
"""

_SELECT = f"""
SELECT session_id, written, num_turns, title, {_STATUS}, document
FROM sessions LEFT JOIN heads ON heads.session = sessions.id
LEFT JOIN leases USING (session_id)
WHERE written < :before
"""  # noqa: S608 - a constant

_HAS = "EXISTS (SELECT 1 FROM labels WHERE labels.session = sessions.id AND label = :{})"

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def list_page(connection: Connection, path: Path, query: SessionQuery) -> SessionPage:
    """Return one page of the sessions, those last written first.

    Raises:
        ConfigError: the cursor cannot be understood.
    """
    connection.create_function("caw_is_dead", 5, _is_dead)
    sql, values = _statement(query)
    rows = connection.execute(sql, values).fetchall()
    more = len(rows) > query.limit
    sessions: list[SessionSummary] = []
    unreadable: list[tuple[str, str]] = []
    for session_id, written, num_turns, title, status, head in rows[: query.limit]:
        try:
            info = documents.parse_head(head or "", f"{path}: session {session_id!r}")
        except TrajectoryError as error:
            unreadable.append((session_id, str(error)))
            continue
        summary = SessionSummary(
            info=info,
            num_turns=num_turns,
            title=title,
            updated_at=utc_text(written / 1e6),
            status=status,
        )
        sessions.append(summary)
    last = Place(rows[query.limit - 1][1], rows[query.limit - 1][0]) if more else None
    return SessionPage(
        sessions=tuple(sessions),
        next_cursor=last.cursor if last else "",
        unreadable=tuple(unreadable),
    )


def _statement(query: SessionQuery) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {
        "before": before(query.cursor),
        "limit": min(query.limit, LARGEST - 1),
    }
    parts = [_SELECT]

    def ask(condition: str, **more: Any) -> None:
        parts.append(f" AND {condition}")
        values.update(more)

    if query.provider:
        ask("provider = :provider", provider=documents.column(query.provider))
    if query.cwd:
        ask("cwd = :cwd", cwd=documents.column(query.cwd))
    if query.status:
        ask(f"{_STATUS} = :status", status=documents.column(query.status))
    if query.since is not None:
        ask("written >= :since", since=_micros(query.since))
    if query.until is not None:
        ask("written < :until", until=_micros(query.until))
    for number, label in enumerate(sorted(documents.labels_of(query.metadata, query.tags))):
        name = f"label{number}"
        ask(_HAS.format(name), **{name: label})
    parts.append(" ORDER BY written DESC LIMIT :limit + 1")
    return "".join(parts), values


def before(cursor: str) -> int:
    """Return the time before which a page goes on; no two sessions were written at the same."""
    if not cursor:
        return LARGEST
    written = Place.at(cursor).written
    if written > LARGEST:
        msg = f"{cursor!r} is no cursor of this storage; pass the page's next_cursor"
        raise ConfigError(msg)
    return written


def _micros(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _is_dead(*holder: Any) -> bool:
    return Holder(*holder).is_dead()
