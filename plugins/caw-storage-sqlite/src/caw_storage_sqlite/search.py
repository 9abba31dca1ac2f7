"""Words in prompts and answers: SQLite's full-text index, or a look through all texts.

The index is filled when somebody searches, so that no write waits for it: documents are numbered in
the order of time, and ``store.indexed`` is the last one that is in it. It keeps no text of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.listing import Place
from caw_core.storage import SearchHit, SearchPage
from caw_storage_sqlite import documents
from caw_storage_sqlite.listing import before

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.storage import SearchQuery
    from caw_storage_sqlite.connections import Connection, Connections

BATCH = 500
"""How many turns enter the index in one transaction; other writers come in between."""

AROUND = 60
"""How much of the text is shown on each side of the word, in characters."""

_MAKE = """
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    text, content = 'documents', content_rowid = 'id'
)
"""

_INDEXED = """
SELECT rowid FROM words WHERE words MATCH :words AND rowid <= :before ORDER BY rowid DESC
"""

_SCANNED = "SELECT id FROM documents WHERE id <= :before ORDER BY id DESC"

_HITS = """
SELECT documents.id, session_id, number, heads.document, text
FROM documents JOIN turns ON turns.document = documents.id
JOIN sessions ON sessions.id = turns.session JOIN heads ON heads.session = sessions.id
WHERE documents.id = :document AND (documents.id, session_id) < (:before, :session_id)
    AND :provider IN ('', provider) AND caw_has(text, :others)
ORDER BY session_id DESC
"""


def fill(connections: Connections) -> bool:
    """Put all turns into the index; False if this SQLite has none.

    Raises:
        StorageError: the database cannot be written.
    """
    while True:
        with connections.reading("search") as reader:
            if reader is None or not _has_fts5(reader):
                return False
            select = "SELECT EXISTS (SELECT 1 FROM documents, store WHERE id > indexed)"
            if _has_index(reader) and reader.execute(select).fetchone() == (0,):
                return True
        with connections.writing("index", durable=False) as writer:
            writer.execute(_MAKE)
            select = """
                SELECT id, text FROM documents, store WHERE id > indexed ORDER BY id LIMIT ?
            """
            rows = writer.execute(select, (BATCH,)).fetchall()
            writer.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", rows)
            if rows:
                writer.execute("UPDATE store SET indexed = ?", (rows[-1][0],))


def forget(connection: Connection, condition: str, values: Mapping[str, int]) -> None:
    """Take documents that are about to be deleted out of the index, where they are in it.

    Args:
        connection: in a transaction that writes.
        condition: which ones, in SQL.
        values: its parameters.
    """
    (indexed,) = connection.execute("SELECT indexed FROM store").fetchone()
    select = f"SELECT id, text FROM documents WHERE id <= :indexed AND {condition}"  # noqa: S608 - a constant
    rows = connection.execute(select, {**values, "indexed": indexed}).fetchall() if indexed else []
    # An SQLite without FTS5 leaves words that lead to no document, which no search shows.
    if rows and _has_fts5(connection):
        delete = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)"
        connection.executemany(delete, rows)


def search_page(
    connection: Connection, path: Path, query: SearchQuery, *, indexed: bool
) -> SearchPage:
    """Return one page of the turns in which all words occur, those last written first.

    Args:
        connection: in a transaction.
        path: for messages.
        query: the words and the page.
        indexed: whether `fill` has filled an index.

    Raises:
        ConfigError: the cursor cannot be understood.
        TrajectoryError: the head of a session that was found is damaged.
    """
    words = documents.column(query.text.replace("\0", " ")).split()
    # The index knows letters and digits alone, and takes what stands between quotes for one text.
    known = [word for word in words if indexed and any(map(str.isalnum, word))]
    others = [word.casefold() for word in words if word not in known]
    connection.create_function("caw_has", 2, _has)
    values: dict[str, Any] = {
        "before": before(query.cursor),
        "session_id": Place.at(query.cursor).session_id if query.cursor else "",
        "provider": documents.column(query.provider),
        "words": " ".join('"{}"'.format(word.replace('"', '""')) for word in known),
        "others": "\n".join(others),
    }
    rows: list[tuple[Any, ...]] = []
    # One by one, so that reading ends with the page, however many there are.
    for (document,) in connection.execute(_INDEXED if known else _SCANNED, values):
        rows += connection.execute(_HITS, {**values, "document": document}).fetchall()
        if len(rows) > query.limit:
            break
    hits = [
        SearchHit(
            info=documents.parse_head(head, f"{path}: session {session_id!r}"),
            turn=number,
            snippet=_snippet(text, words),
        )
        for _, session_id, number, head, text in rows[: query.limit]
    ]
    more = len(rows) > query.limit
    last = Place(*rows[query.limit - 1][:2]) if more else None
    return SearchPage(hits=tuple(hits), next_cursor=last.cursor if last else "")


def _has_fts5(connection: Connection) -> bool:
    select = "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'fts5')"
    (there,) = connection.execute(select).fetchone()
    return bool(there)


def _has_index(connection: Connection) -> bool:
    select = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'words')"
    (there,) = connection.execute(select).fetchone()
    return bool(there)


def _has(text: str, words: str) -> bool:
    if not words:
        return True
    folded = text.casefold()
    return all(word in folded for word in words.split("\n"))


def _snippet(text: str, words: list[str]) -> str:
    folded = text.casefold()
    found = [place for word in words if (place := folded.find(word.casefold())) >= 0]
    # Where case changes a text's length, this is a little beside it.
    first = min(found, default=0)
    start, stop = max(0, first - AROUND), first + AROUND
    middle = " ".join(text[start:stop].split())
    return f"{'…' if start else ''}{middle}{'…' if stop < len(text) else ''}"
