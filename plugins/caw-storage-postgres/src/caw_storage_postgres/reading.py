"""Reading records, lists and searches."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from caw_core.errors import ConfigError, TrajectoryError, TrajectoryFormatError
from caw_core.handles import is_session_id
from caw_core.listing import Place
from caw_core.migrations import DOCUMENT_VERSION, migrate
from caw_core.searching import snippet_of, text_of, words_of
from caw_core.serialize import session_info_from_dict, turn_from_dict
from caw_core.storage import (
    SearchHit,
    SearchPage,
    SessionPage,
    SessionSummary,
    TurnRange,
    as_left,
)
from caw_core.trajectory import Trajectory, Turn
from caw_storage_postgres.texts import (
    document_of,
    escaped,
    facts_filter,
    jsonb,
    parts_of,
    unescaped,
)

if TYPE_CHECKING:
    from caw_core.storage import SearchQuery, SessionQuery
    from caw_core.trajectory import SessionInfo
    from caw_storage_postgres.database import Database, Row

LARGEST: Final = 2**63 - 1
"""PostgreSQL's largest bigint."""

_BATCH = 50
"""How many turns a search reads at a time at least."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HIT = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([A-Za-z0-9._-]{1,128})")


def load(database: Database, session_id: str, turns: TurnRange) -> Trajectory | None:
    """Return a record with these turns; see the hook ``load_trajectory``."""
    values = {
        "id": session_id,
        "start": min(turns.start, LARGEST),
        "stop": LARGEST if turns.stop is None else min(turns.stop, LARGEST),
        "last": turns.last if turns.last is None else min(turns.last, LARGEST),
    }
    rows = database.rows(f"read session {session_id!r}", database.statements["load"], values)
    head = next((row[3] for row in rows if row[0] is None), None)
    if head is None:
        return None
    found = sorted(row for row in rows if row[0] is not None)
    info = _info(head, session_id)
    return Trajectory.of(info, tuple(_turn(row, session_id) for row in found))


def list_sessions(database: Database, query: SessionQuery) -> SessionPage:
    """Return one page of sessions; see the hook."""
    values: dict[str, Any] = {"limit": min(query.limit, LARGEST - 1) + 1}
    if query.cursor:
        place = Place.at(query.cursor)
        values |= {"place": place, "updated": min(place.written, LARGEST), "id": place.session_id}
        if not is_session_id(place.session_id):
            msg = f"{query.cursor!r} is no cursor of this storage; pass SessionPage.next_cursor"
            raise ConfigError(msg)
    if query.status:
        values["status"] = escaped(query.status)
    if query.since is not None:
        values["since"] = _microseconds(query.since)
    if query.until is not None:
        values["until"] = _microseconds(query.until)
    if query.metadata:
        values["metadata"] = jsonb(query.metadata)
    if facts := facts_filter(query.provider, query.cwd, query.tags, query.metadata):
        values["facts"] = facts
    names = [name for name in values if name not in ("limit", "updated", "id")]
    values.pop("place", None)
    rows = database.rows("list sessions", database.statements.listing(names), values)
    summaries: list[SessionSummary] = []
    unreadable: list[tuple[str, str]] = []
    shown = rows[: query.limit]
    for row in shown:
        try:
            summaries.append(_summary(row))
        except TrajectoryError as error:
            unreadable.append((row[0], str(error)))
    more = Place(shown[-1][1], shown[-1][0]).cursor if len(rows) > len(shown) else ""
    return SessionPage(sessions=tuple(summaries), next_cursor=more, unreadable=tuple(unreadable))


def search(database: Database, query: SearchQuery) -> SearchPage:
    """Return one page of turns in which words occur; see the hook.

    The index knows whole words; what it finds is looked through, so that signs count as well.
    """
    words = words_of(query.text)
    parts = parts_of(words)
    values: dict[str, Any] = {"limit": min(max(query.limit + 1, _BATCH), LARGEST)}
    names = []
    if parts:
        values["words"] = " & ".join(f"'{part}'" for part in parts)
        names.append("words")
    if facts := facts_filter(query.provider):
        values["facts"] = facts
        names.append("facts")
    place = _hit_place(query.cursor)
    hits: list[tuple[SearchHit, str]] = []
    while len(hits) <= query.limit:
        if place is not None:
            values |= {"history": place[0], "index": place[1], "id": place[2]}
        statement = database.statements.searching([*names, *(["hit"] if place else [])])
        rows = database.rows("search", statement, values)
        for row in rows:
            place = (row[0], row[1], row[2])
            if (hit := _hit(row, words)) is not None:
                hits.append((hit, "-".join(map(str, place))))
        if len(rows) < values["limit"]:
            break
    page = hits[: query.limit]
    more = page[-1][1] if len(hits) > len(page) else ""
    return SearchPage(hits=tuple(hit for hit, _ in page), next_cursor=more)


def _hit_place(cursor: str) -> tuple[int, int, str] | None:
    if not cursor:
        return None
    match = _HIT.fullmatch(cursor)
    if match is None:
        msg = f"{cursor!r} is no cursor of a search in this storage; pass SearchPage.next_cursor"
        raise ConfigError(msg)
    return int(match[1]), int(match[2]), match[3]


def _hit(row: Row, words: list[str]) -> SearchHit | None:
    _, index, session_id, head, document, version, status = row
    turn = _turn((index, version, status, document), session_id)
    snippet = snippet_of(text_of(turn), words)
    if snippet is None:
        return None
    return SearchHit(info=_info(head, session_id), turn=index, snippet=snippet)


def _summary(row: Row) -> SessionSummary:
    session_id, updated, num_turns, title, status, head = row
    return SessionSummary(
        info=_info(head, session_id),
        num_turns=num_turns,
        title=unescaped(title),
        updated_at=(_EPOCH + timedelta(microseconds=updated)).isoformat(),
        status=status,
    )


def _info(text: str, session_id: str) -> SessionInfo:
    return session_info_from_dict(document_of(text, f"the head of session {session_id!r}"))


def _turn(row: Row, session_id: str) -> Turn:
    index, version, status, text = row
    document = document_of(text, f"turn {index} of session {session_id!r}")
    if version != DOCUMENT_VERSION:
        document = migrate({"version": version, "turns": [document]})["turns"][0]
    turn = turn_from_dict(document)
    if (turn.index, turn.status) != (index, status):
        msg = f"turn {index} of session {session_id!r} says that it is {turn.index}, {turn.status}"
        raise TrajectoryFormatError([msg])
    return as_left(turn)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
