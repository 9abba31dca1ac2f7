"""A storage that is given nothing that looks like a credential."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from caw_core import SessionInfo, Turn
from caw_core.errors import ConfigError
from caw_core.redaction import Redactor
from caw_core.storage import LiveEvent
from caw_storage_wrappers.wrapper import StorageWrapper

CREDENTIALS: Final = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
    r"\bgithub_pat_[A-Za-z0-9_]{60,}\b",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\bA(?:KIA|SIA)[A-Z0-9]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    r"\bpypi-[A-Za-z0-9_-]{50,}",
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)",
)
"""What credentials look like that are easily told from other text, as their issuers document them:
private keys in PEM; OpenAI, Anthropic, OpenRouter; GitHub; GitLab; Slack; AWS; Google; JSON Web
Tokens; PyPI; npm; name and password in a URL. Few on purpose: a pattern that damages plain text
makes records worthless."""


class RedactedStorage(StorageWrapper):
    """Takes what matches a pattern out of everything but ids and the resume key.

    What caw knows to be secret is out already before a storage is called; this is for secrets that
    nobody told caw of, such as a key that a tool printed. Of a running session's events a
    credential that comes in pieces is not recognised in the pieces.

    Args:
        inner: a storage plugin.
        patterns: regular expressions besides `CREDENTIALS`.

    Raises:
        ConfigError: one of them is none, or matches nothing at all, which would be everywhere.
    """

    def __init__(self, inner: object, patterns: Iterable[str] = ()) -> None:
        super().__init__(inner)
        self._redactor = Redactor(patterns=map(_compiled, (*CREDENTIALS, *patterns)))

    def head_in(self, session: SessionInfo) -> SessionInfo:
        """Take them out of the texts of the caller."""
        return attrs.evolve(
            session,
            system_prompt=self._redactor.value(session.system_prompt),
            cwd=self._redactor.value(session.cwd),
            metadata=self._redactor.value(session.metadata),
            tags=self._redactor.value(session.tags),
        )

    def turn_in(self, session: SessionInfo, turn: Turn) -> Turn:
        """Take them out of the turn."""
        del session
        return self._redactor.value(turn)

    def event_in(self, session_id: str, event: LiveEvent) -> LiveEvent:
        """Take them out of the event."""
        del session_id
        return attrs.evolve(event, event=self._redactor.value(event.event))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"redact: {pattern!r} is no regular expression: {error}"
        raise ConfigError(msg) from error
    if compiled.search("") is not None:
        msg = f"redact: {pattern!r} matches the empty text, so it would match everywhere"
        raise ConfigError(msg)
    return compiled
