"""What PostgreSQL keeps as it is given: documents, and the parts of them that are looked for.

Documents are JSON in a ``text`` column, exactly as caw writes them. What is searched stands beside
them: ``jsonb`` and ``text`` take neither NUL nor half a surrogate pair, and ``jsonb`` no infinite
number, so there these are escaped, in what is stored and in what is asked for alike.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from caw_core.document_text import document_bytes
from caw_core.errors import TrajectoryFormatError

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo

WORDS_LIMIT = 512 * 1024
"""How many bytes of words are indexed for a turn: PostgreSQL's tsvector ends at 1 MiB."""

_WORD = re.compile(r"\w+")
_WORD_LENGTH = 200
"""Longer words are indexed by their beginning, in characters; a tsvector takes 2046 bytes."""

_ESCAPED = re.compile("[\0\x1a\ud800-\udfff]")
_ESCAPE = re.compile("\x1a([0-9a-f]{4})")


def document_text(document: Mapping[str, Any]) -> str:
    """Return a document as it is stored, readable where it can be."""
    return document_bytes(document).decode()


def document_of(text: str, where: str) -> Any:
    """Return the document that *text* holds.

    Raises:
        TrajectoryFormatError: it was damaged; *where* says what it is.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{where} is no JSON: {error}"
        raise TrajectoryFormatError([msg]) from error


def escaped(text: str) -> str:
    """Return *text* without what a text of PostgreSQL cannot hold; no two texts become one."""
    return _ESCAPED.sub(lambda match: f"\x1a{ord(match[0]):04x}", text)


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def jsonb(value: object) -> str:
    """Return *value* as JSON that ``jsonb`` takes; no two values become one."""
    return json.dumps(_plain(value), ensure_ascii=False)


def facts_of(info: SessionInfo) -> str:
    """Return what lists filter by, for the one index that serves all of it."""
    return jsonb(_facts(info.provider, info.cwd, info.tags, info.metadata))


def facts_filter(
    provider: str = "",
    cwd: str = "",
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return what of `facts_of` a session must have; ``""`` for nothing."""
    wanted = {name: fact for name, fact in _facts(provider, cwd, tags, metadata).items() if fact}
    return jsonb(wanted) if wanted else ""


def _facts(
    provider: str, cwd: str, tags: Iterable[str], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    return {"provider": provider, "cwd": cwd, "tags": [*tags], "metadata": metadata}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"\x1a{value}"
    if isinstance(value, Mapping):
        return {escaped(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def words_of(text: str) -> tuple[str, bool]:
    """Return the different words of *text*, parted by blanks, and whether these are all of them."""
    words = dict.fromkeys(word[:_WORD_LENGTH] for word in _WORD.findall(text.casefold()))
    joined = " ".join(words)
    # A character has four bytes at most, so most texts need not be measured.
    if 4 * len(joined) <= WORDS_LIMIT:
        return joined, True
    return _within(words), len(joined.encode()) <= WORDS_LIMIT


def _within(words: Mapping[str, None]) -> str:
    kept: list[str] = []
    room = WORDS_LIMIT
    for word in words:
        room -= len(word.encode()) + 1
        if room < 0:
            break
        kept.append(word)
    return " ".join(kept)


def parts_of(words: Sequence[str]) -> list[str]:
    """Return the indexed words that stand in the words somebody looks for."""
    found = (part for word in words for part in _WORD.findall(word))
    return list(dict.fromkeys(part[:_WORD_LENGTH] for part in found))
