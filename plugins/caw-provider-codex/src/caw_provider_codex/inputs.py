"""A prompt as codex takes it: text, images, and files as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from caw_core.errors import UnsupportedError
from caw_provider_codex.errors import MAX_PROMPT_CHARACTERS, NAME, prompt_too_long

if TYPE_CHECKING:
    from caw_core.attachments import Attachment
    from caw_core.blocks import JSON
    from caw_core.provider import Prompt

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What OpenAI's models read; codex passes others on, and the service then refuses the turn."""


def user_input(prompt: Prompt, *, more: str = "") -> list[JSON]:
    """Return the parts of a prompt; its own text is the first, verbatim.

    Args:
        prompt: the prompt.
        more: a text to send after it, as a part of its own; ``""`` for none.

    Raises:
        UnsupportedError: an attachment is neither an image nor text.
        ContextLimitError: it is more than codex takes.
    """
    parts: list[JSON] = [{"type": "text", "text": prompt.text}]
    for item in prompt.attachments:
        if item.is_image:
            _check_image(item)
            parts.append({"type": "image", "url": item.data_url})
        else:
            parts.append({"type": "text", "text": file_text(item)})
    if more:
        parts.append({"type": "text", "text": more})
    size = sum(len(part.get("text", "")) for part in parts)
    if size > MAX_PROMPT_CHARACTERS:
        raise prompt_too_long(size)
    return parts


def file_text(item: Attachment) -> str:
    """Return a file's text between markers that name it.

    Raises:
        UnsupportedError: it is no text. codex knows images and nothing else.
    """
    try:
        content = item.data.decode()
    except UnicodeDecodeError as error:
        msg = (
            f"codex takes images and text files; {item.name!r} ({item.mime_type}) is neither. "
            "Put it into the session's folder and name it in the prompt."
        )
        raise UnsupportedError(msg, provider=NAME, options=("attachments",)) from error
    return f"<attached_file name={json.dumps(item.name)}>\n{content}\n</attached_file>"


def _check_image(item: Attachment) -> None:
    if item.mime_type not in IMAGE_TYPES:
        known = ", ".join(sorted(IMAGE_TYPES))
        msg = f"codex's models read {known}; {item.name!r} is {item.mime_type}"
        raise UnsupportedError(msg, provider=NAME, options=("attachments",))
