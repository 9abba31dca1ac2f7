"""A few words by which a person tells a session from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo

_LONGEST: Final = 24
_UUID: Final = 36
_FIRST: Final = 8
_LAST: Final = 4


def label_of(session: SessionInfo) -> str:
    """Return the provider and as much of the session's id as it takes."""
    return f"{session.provider} {short_id(session.session_id)}"


def short_id(session_id: str) -> str:
    """Return as much of a session's id as tells it from others."""
    if len(session_id) == _UUID:
        return session_id[:_FIRST]
    if len(session_id) > _LONGEST:
        return f"{session_id[:_FIRST]}…{session_id[-_LAST:]}"
    return session_id
