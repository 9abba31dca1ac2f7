"""Reading records, lists and searches."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import ConfigError, TrajectoryError, TrajectoryFormatError
from caw_core.listing import Place, matches
from caw_core.searching import snippet_of, text_of, words_of
from caw_core.storage import (
    SearchHit,
    SearchPage,
    SessionPage,
    SessionQuery,
    SessionSummary,
    TurnRange,
    as_left,
)
from caw_core.trajectory import SessionInfo, Trajectory, Turn
from caw_storage_redis.documents import facts_of, head_of, turn_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.storage import SearchQuery
    from caw_storage_redis.server import Answer, Server

LARGEST: Final = 2**53 - 1
"""The largest whole number that a sorted set holds exactly."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 200
_HIT = re.compile(r"([0-9]{1,16})-([0-9]{1,16})-([A-Za-z0-9._-]{1,128})")


@attrs.frozen
class _Batch:
    """Some of a session's turns, and where to go on: ``""`` at the end."""

    history: bytes
    info: SessionInfo
    count: int
    turns: tuple[Turn, ...]
    more: str


def load(server: Server, session_id: str, turns: TurnRange) -> Trajectory | None:
    """Return a record with these turns; see the hook ``load_trajectory``."""
    while True:
        found: list[Turn] = []
        first = batch = _batch(server, session_id, turns)
        while batch is not None and first is not None and batch.history == first.history:
            found += batch.turns
            if not batch.more:
                if turns == TurnRange() and len(found) < first.count:
                    msg = f"session {session_id!r} had {first.count} turns, and has {len(found)}"
                    raise TrajectoryFormatError([msg])
                return Trajectory.of(first.info, tuple(found))
            rest = attrs.evolve(turns, start=int(batch.more), last=None)
            batch = _batch(server, session_id, rest)
        if batch is None:
            return None
        # It was deleted and made anew between two batches, so it is read anew.


def list_sessions(server: Server, query: SessionQuery) -> SessionPage:
    """Return one page of sessions; see the hook."""
    found: list[tuple[Place, SessionSummary | str]] = []
    for place, summary in _summaries(server, query):
        if len(found) == query.limit:
            more = found[-1][0].cursor
            break
        found.append((place, summary))
    else:
        more = ""
    return SessionPage(
        sessions=tuple(each for _, each in found if not isinstance(each, str)),
        unreadable=tuple((at.session_id, each) for at, each in found if isinstance(each, str)),
        next_cursor=more,
    )


def search(server: Server, query: SearchQuery) -> SearchPage:
    """Return one page of turns in which words occur, by reading all; see the hook."""
    hits: list[SearchHit] = []
    last = ""
    for cursor, hit in _hits(server, query):
        if len(hits) == query.limit:
            return SearchPage(hits=tuple(hits), next_cursor=last)
        hits.append(hit)
        last = cursor
    return SearchPage(hits=tuple(hits))


def _batch(server: Server, session_id: str, turns: TurnRange) -> _Batch | None:
    what = f"read session {session_id!r}"
    stop = "inf" if turns.stop is None else str(min(turns.stop, LARGEST))
    last = "" if turns.last is None else str(min(turns.last, LARGEST))
    answer = server.read(what, "load", session_id, str(min(turns.start, LARGEST)), stop, last)
    if answer[0] == b"none":
        return None
    if answer[0] == b"lost":
        head_of(None, session_id)
    _, history, head, count, more, *rows = answer
    return _Batch(
        history=history,
        info=head_of(head, session_id),
        count=int(count or 0),
        turns=tuple(as_left(turn_of(int(row[0]), row[1], row[2], session_id)) for row in rows),
        more=more.decode(),
    )


def _summaries(server: Server, query: SessionQuery) -> Iterator[tuple[Place, SessionSummary | str]]:
    """Yield sessions from the newest on; a text says why one cannot be read."""
    below = LARGEST if query.until is None else _microseconds(query.until)
    if query.cursor:
        below = min(below, _place(query.cursor).written)
    low = "-inf" if query.since is None else str(_microseconds(query.since))
    facts = facts_of(query.provider, query.cwd, query.tags, query.metadata)
    most = min(query.limit + 1, _AT_ONCE)
    high = f"({below}"
    while high:
        answer = server.read("list sessions", "list", high, low, query.status, most, facts)
        _, more, *rows = answer
        for row in rows:
            place = Place(int(row[1]), row[0].decode())
            try:
                summary = _summary(row, place)
            except TrajectoryError as error:
                yield place, str(error)
                continue
            if matches(summary, query):
                yield place, summary
        high = more.decode()


def _summary(row: Answer, place: Place) -> SessionSummary:
    _, _, count, title, status, head = row
    return SessionSummary(
        info=head_of(head, place.session_id),
        num_turns=int(count or 0),
        title=json.loads(title or '""'),
        updated_at=(_EPOCH + timedelta(microseconds=place.written)).isoformat(),
        status=status.decode(),
    )


def _hits(server: Server, query: SearchQuery) -> Iterator[tuple[str, SearchHit]]:
    words = words_of(query.text)
    cursor = ""
    if query.cursor:
        match = _HIT.fullmatch(query.cursor)
        if match is None:
            msg = f"{query.cursor!r} is no cursor of a search here; pass SearchPage.next_cursor"
            raise ConfigError(msg)
        # The rest of that session first, wherever in the list it is by now.
        place, start = Place(int(match[1]), match[3]), int(match[2]) + 1
        yield from _hits_in(server, place, start, words)
        cursor = place.cursor
    listing = SessionQuery(limit=_AT_ONCE, cursor=cursor, provider=query.provider)
    for place, summary in _summaries(server, listing):
        if isinstance(summary, str):
            raise TrajectoryFormatError([summary])
        yield from _hits_in(server, place, 0, words)


def _hits_in(
    server: Server, place: Place, start: int, words: list[str]
) -> Iterator[tuple[str, SearchHit]]:
    more = str(start)
    while more:
        batch = _batch(server, place.session_id, TurnRange(start=int(more)))
        if batch is None:
            return
        for turn in batch.turns:
            snippet = snippet_of(text_of(turn), words)
            if snippet is not None:
                cursor = f"{place.written}-{turn.index}-{place.session_id}"
                yield cursor, SearchHit(info=batch.info, turn=turn.index, snippet=snippet)
        more = batch.more


def _place(cursor: str) -> Place:
    place = Place.at(cursor)
    if not place.session_id.isascii():
        msg = f"{cursor!r} is no cursor of this storage; pass SessionPage.next_cursor"
        raise ConfigError(msg)
    return place


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
