"""Words in records, looked for file by file: those last written first, one record at a time."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from caw_core.errors import ConfigError, TrajectoryError
from caw_core.handles import is_session_id
from caw_core.listing import Place
from caw_core.searching import snippet_of, text_of, words_of
from caw_core.storage import SearchHit, SearchPage, SearchQuery
from caw_storage_jsonl import record
from caw_storage_jsonl.lines import DamagedLineError
from caw_storage_jsonl.listing import places_after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("caw.storage.jsonl")

_CURSOR = re.compile(r"([0-9]{1,20})-([0-9]{1,20})-(.+)", re.DOTALL)


def search_page(root: Path, query: SearchQuery) -> SearchPage:
    """Return one page of the turns in which all words occur.

    The cursor is the place of the page's last turn, as in a list.

    Raises:
        ConfigError: the cursor cannot be understood.
        OSError: *root* cannot be read; one session that cannot is left out with a warning.
    """
    match = _CURSOR.fullmatch(query.cursor) if query.cursor else None
    if query.cursor and match is None:
        msg = f"{query.cursor!r} is no cursor of this storage; pass SearchPage.next_cursor"
        raise ConfigError(msg)
    at = (Place(int(match[1]), match[3]), int(match[2])) if match else None
    hits: list[SearchHit] = []
    cursor = ""
    for place, hit in _hits(root, query, at):
        if len(hits) == query.limit:
            return SearchPage(hits=tuple(hits), next_cursor=cursor)
        hits.append(hit)
        cursor = f"{place.written}-{hit.turn}-{place.session_id}"
    return SearchPage(hits=tuple(hits))


def _hits(
    root: Path, query: SearchQuery, at: tuple[Place, int] | None
) -> Iterator[tuple[Place, SearchHit]]:
    words = words_of(query.text)
    for place in places_after(root, None):
        if (at is not None and place > at[0]) or not is_session_id(place.session_id):
            continue
        try:
            found = record.load(root / place.session_id, place.session_id)
        except (OSError, TrajectoryError, DamagedLineError) as error:
            log.warning("session %s was not searched: %s", place.session_id, error)
            continue
        if found is None or query.provider not in ("", found.provider):
            continue
        for turn in found.turns:
            seen = at is not None and place == at[0] and turn.index <= at[1]
            snippet = None if seen else snippet_of(text_of(turn), words)
            if snippet is not None:
                yield place, SearchHit(info=found.info, turn=turn.index, snippet=snippet)
