"""Documents, texts and labels in the form in which the tables hold them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from caw_core.document_text import document_bytes
from caw_core.errors import TrajectoryError, TrajectoryFormatError
from caw_core.serialize import (
    session_info_from_dict,
    session_info_to_dict,
    turn_from_dict,
    turn_to_dict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    from caw_core.blocks import JSON
    from caw_core.trajectory import SessionInfo, Turn

    T = TypeVar("T")

# Values are frozen, so they hold no circles.
_encode_ascii = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


def to_text(document: JSON) -> str:
    """Return *document* as JSON that UTF-8 can hold; lone surrogates and NUL are escaped."""
    return document_bytes(document).decode()


def head_text(info: SessionInfo) -> str:
    """Return a head's document as text."""
    return to_text(session_info_to_dict(info))


def turn_text(turn: Turn) -> str:
    """Return a turn's document as text."""
    return to_text(turn_to_dict(turn))


def parse_head(text: str, place: str) -> SessionInfo:
    """Read a head's document; *place* is where it is, for messages.

    Raises:
        TrajectoryError: it is damaged, or of a newer version.
    """
    return _parsed(text, place, session_info_from_dict)


def parse_turn(text: str, place: str) -> Turn:
    """Read a turn's document, as `parse_head` does."""
    return _parsed(text, place, turn_from_dict)


def _parsed(text: str, place: str, read: Callable[[Mapping[str, JSON]], T]) -> T:
    try:
        return read(json.loads(text))
    except TrajectoryFormatError as error:
        raise TrajectoryFormatError(
            [f"{place}: {problem}" for problem in error.problems]
        ) from error
    except TrajectoryError:
        raise
    except (ValueError, RecursionError, AttributeError) as error:
        problem = f"{place}: {type(error).__name__}: {error}"
        raise TrajectoryFormatError([problem]) from error


def column(text: str) -> str:
    """Return *text* as a column for comparing and showing holds it.

    A lone surrogate, which UTF-8 has no bytes for, is shown by its number.
    """
    return text.encode(errors="backslashreplace").decode()


def search_text(turn: Turn) -> str:
    """Return what a search looks through: the prompt, and what the agent wrote for the user."""
    return column(f"{turn.input}\n\n{turn.text}".replace("\0", " "))


def labels_of(metadata: Mapping[str, JSON], tags: tuple[str, ...]) -> set[bytes]:
    """Return what a session is found by: a digest of each tag and each member of its metadata."""
    return {_digest(label) for label in _labels(metadata, tags)}


def _labels(metadata: Mapping[str, JSON], tags: tuple[str, ...]) -> Iterator[Any]:
    for tag in tags:
        yield [tag]
    for name, value in metadata.items():
        yield [name, _plain(value)]


def _plain(value: Any) -> Any:
    # In JSON, 1.0 is 1; Python would write them differently.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _digest(label: object) -> bytes:
    return hashlib.sha256(_encode_ascii(label).encode()).digest()[:16]
