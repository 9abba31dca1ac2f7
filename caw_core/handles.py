"""Session ids and resume handles: the strings by which a conversation is found again."""

from __future__ import annotations

import json
import re
import uuid

import attrs

from caw_core.errors import ConfigError, ResumeHandleError

HANDLE_VERSION = 1

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_KEY_LENGTH = 4096


def new_session_id() -> str:
    """Return a fresh id."""
    return str(uuid.uuid4())


def is_session_id(text: object) -> bool:
    """Tell whether *text* may become a folder's name or a key: letters, digits, ``. _ -``.

    At most 128 characters, beginning with a letter or digit, without ``..``.
    """
    return isinstance(text, str) and bool(_SESSION_ID.fullmatch(text)) and ".." not in text


def check_new_session_id(text: object) -> str:
    """Return *text* if it can be the id of a new session, else raise `ConfigError`."""
    if isinstance(text, str) and is_session_id(text):
        return text
    msg = f"session_id: at most 128 letters, digits, '.', '_', '-', not {_shown(text)}"
    raise ConfigError(msg)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "…"  # noqa: PLR2004 - a line's width


def check_session_id(text: object) -> str:
    """Return *text* if it is a session id, else raise `ResumeHandleError`."""
    if isinstance(text, str) and is_session_id(text):
        return text
    msg = f"{_shown(text)} is not a session id"
    raise ResumeHandleError(msg)


def check_resume_key(key: object) -> str:
    """Return *key* if it can be given to an agent's program, else raise `ResumeHandleError`."""
    if not isinstance(key, str) or not key:
        problem = "the handle's resume_key is missing or no text"
    elif key.startswith("-"):
        # A program that takes the key as an argument would read it as one of its flags.
        problem = "the handle's resume_key begins with '-'"
    elif len(key) > _MAX_KEY_LENGTH or not key.isprintable():
        problem = "the handle's resume_key is too long or holds control characters"
    else:
        return key
    raise ResumeHandleError(problem)


@attrs.frozen(kw_only=True)
class ResumeHandle:
    """What is needed to continue a session in another process. Keep it like a password.

    Attributes:
        provider: the provider's canonical name.
        session_id: caw's id of the session.
        resume_key: the agent's own key.
    """

    provider: str
    session_id: str
    resume_key: str = attrs.field(repr=False)

    def encode(self) -> str:
        """Return the handle as the JSON text that `decode` reads."""
        return json.dumps(
            {
                "version": HANDLE_VERSION,
                "provider": self.provider,
                "session_id": self.session_id,
                "resume_key": self.resume_key,
            },
        )

    @classmethod
    def decode(cls, text: str) -> ResumeHandle:
        """Read a handle.

        Raises:
            ResumeHandleError: it is no handle, has another version, misses a part, or has a part
                that could do harm.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = "the handle is not valid JSON"
            raise ResumeHandleError(msg) from error
        if not isinstance(data, dict):
            msg = "the handle is not a JSON object"
            raise ResumeHandleError(msg)
        version = data.get("version")
        if version != HANDLE_VERSION or isinstance(version, bool):
            msg = f"the handle has version {version!r}, this caw reads version {HANDLE_VERSION}"
            raise ResumeHandleError(msg)
        missing = [key for key in ("provider", "session_id", "resume_key") if key not in data]
        if missing:
            msg = f"the handle lacks {', '.join(missing)}"
            raise ResumeHandleError(msg)
        provider = data["provider"]
        if not isinstance(provider, str) or not provider:
            msg = "the handle's provider is no name"
            raise ResumeHandleError(msg)
        return cls(
            provider=provider,
            session_id=check_session_id(data["session_id"]),
            resume_key=check_resume_key(data["resume_key"]),
        )


def looks_like_handle(text: str) -> bool:
    """Tell a handle from a bare session id."""
    return text.lstrip().startswith(("{", "["))
