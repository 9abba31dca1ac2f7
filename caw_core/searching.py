"""Looking for words in records, for storages that cannot do it themselves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from caw_core.errors import ConfigError
from caw_core.storage import SearchHit, SearchPage, SearchQuery, SessionQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core.store import Store
    from caw_core.trajectory import Turn

SNIPPET_LENGTH = 160
"""How long a snippet is at most, in characters."""


def words_of(text: str) -> list[str]:
    """Return the words of a query as they are compared."""
    return text.casefold().split()


def text_of(turn: Turn) -> str:
    """Return what of a turn is searched: its prompt and what the agent wrote for the user."""
    return f"{turn.input}\n{turn.text}"


def snippet_of(text: str, words: Sequence[str]) -> str | None:
    """Return the text around the first of *words*, on one line; None if one of them is missing."""
    folded = text.casefold()
    places = [folded.find(word) for word in words]
    if min(places) < 0:
        return None
    # Folding may change the length of a text a little, which a snippet can bear.
    start = max(0, min(places) - SNIPPET_LENGTH // 3)
    return " ".join(text[start : start + SNIPPET_LENGTH].split())


def search_records(store: Store, query: SearchQuery) -> SearchPage:
    """Search by reading one record after the other, newest first; the cursor counts hits."""
    if query.cursor and not (query.cursor.isascii() and query.cursor.isdecimal()):
        msg = f"{query.cursor!r} is no cursor of a search; pass SearchPage.next_cursor"
        raise ConfigError(msg)
    first = int(query.cursor or 0)
    stop = first + query.limit
    # One more than wanted, to know whether there is another page.
    hits = list(itertools.islice(_hits(store, query), first, stop + 1))
    more = str(stop) if len(hits) > query.limit else ""
    return SearchPage(hits=tuple(hits[: query.limit]), next_cursor=more)


def _hits(store: Store, query: SearchQuery) -> Iterator[SearchHit]:
    words = words_of(query.text)
    for summary in store.sessions(SessionQuery(limit=200, provider=query.provider)):
        record = store.load(summary.info.session_id)
        for turn in record.turns if record else ():
            snippet = snippet_of(text_of(turn), words)
            if snippet is not None:
                yield SearchHit(info=summary.info, turn=turn.index, snippet=snippet)
