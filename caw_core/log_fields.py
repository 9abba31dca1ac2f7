"""The structured fields of log records below ``caw``: docs/reference/logging.md has the table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo

OTEL_NAMES: Final[Mapping[str, str]] = {
    "session_id": "gen_ai.conversation.id",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.response.model",
    "tool": "gen_ai.tool.name",
    "call_id": "gen_ai.tool.call.id",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "error_type": "error.type",
}
"""The fields that OpenTelemetry's conventions for generative AI have a name for, and that name.

``input_tokens`` is not among them: what the conventions call so counts the cached ones, too.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

_current: ContextVar[Mapping[str, Any]] = ContextVar("caw_log_fields")


def note_turn(session: SessionInfo, turn: int) -> int:
    """Have the records that this thread makes from now on say which turn they are about.

    Args:
        session: the head of the session's record.
        turn: the turn's index.

    Returns:
        The index.
    """
    head = {"session_id": session.session_id, "provider": session.provider}
    _current.set({**head, "turn": turn})
    return turn


class LogFields(logging.NullHandler):
    """Gives records below ``caw`` the fields of the turn whose thread made them; writes nothing.

    Like `caw_core.redaction.LogGuard` it is a handler, since a filter of the logger ``caw`` would
    not see the records of its children.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Give *record* the fields that it lacks."""
        for name, value in _current.get({}).items():
            record.__dict__.setdefault(name, value)
        return True
