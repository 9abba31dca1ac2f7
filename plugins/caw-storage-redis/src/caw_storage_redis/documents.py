"""Documents as Redis keeps them, and the parts of them by which sessions are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from caw_core.errors import TrajectoryFormatError
from caw_core.migrations import DOCUMENT_VERSION, migrate
from caw_core.serialize import session_info_from_dict, turn_from_dict

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn

_FACT_BYTES = 12


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document as it is stored, readable where it can be."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def document_of(stored: bytes | None, where: str) -> Any:
    """Return the document that was stored.

    Raises:
        TrajectoryFormatError: it is damaged or gone; *where* says what it is.
    """
    if stored is None:
        msg = f"{where} is gone: did the server evict it?"
        raise TrajectoryFormatError([msg])
    try:
        return json.loads(stored)
    except ValueError as error:
        msg = f"{where} is no JSON: {error}"
        raise TrajectoryFormatError([msg]) from error


def head_of(stored: bytes | None, session_id: str) -> SessionInfo:
    """Return the head that was stored; see `document_of`."""
    return session_info_from_dict(document_of(stored, f"the head of session {session_id!r}"))


def turn_of(index: int, state: bytes | None, stored: bytes | None, session_id: str) -> Turn:
    """Return the turn that was stored as *state* says; see `document_of`."""
    where = f"turn {index} of session {session_id!r}"
    document = document_of(stored, where)
    version, _, status = (state or b"").decode().partition(" ")
    if version != str(DOCUMENT_VERSION):
        number = int(version) if version.isdecimal() else 0
        document = migrate({"version": number, "turns": [document]})["turns"][0]
    turn = turn_from_dict(document)
    if (turn.index, turn.status) != (index, status):
        msg = f"{where} says that it is {turn.index}, {turn.status}"
        raise TrajectoryFormatError([msg])
    return turn


def facts_of(
    provider: str = "",
    cwd: str = "",
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return what lists find sessions by, as the names of the sets that these sessions are in.

    Two values that are equal in a filter have one name; the other way round it need not be so.
    """
    facts = [
        *(("provider", provider) for _ in provider[:1]),
        *(("cwd", cwd) for _ in cwd[:1]),
        *(("tag", tag) for tag in tags),
        *(("metadata", name, _plain(value)) for name, value in metadata.items()),
    ]
    return " ".join(sorted({_digest(fact) for fact in facts}))


def _digest(fact: tuple[Any, ...]) -> str:
    text = json.dumps(fact, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=_FACT_BYTES).hexdigest()


def _plain(value: Any) -> Any:
    """Return one value for those that Python holds to be equal."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
