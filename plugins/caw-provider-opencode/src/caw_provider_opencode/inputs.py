"""A prompt as the parts of a message of opencode's."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import UnsupportedError
from caw_provider_opencode.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caw_core.attachments import Attachment
    from caw_core.blocks import JSON
    from caw_core.provider import Prompt

_PDF: Final = "application/pdf"
_MENTION: Final = re.compile(r"(?<!\S)@(\S+)")
_COMMAND: Final = re.compile(r"/(\S+)(?:\s+(.*))?", re.DOTALL)


def message_parts(prompt: Prompt, folder: str) -> list[dict[str, JSON]]:
    """Return the parts of the message that brings *prompt*.

    Args:
        prompt: what to send.
        folder: where ``@path`` is looked for, if the prompt wants that.

    Raises:
        UnsupportedError: an attachment is of a kind that no model takes.
    """
    parts: list[dict[str, JSON]] = [{"type": "text", "text": prompt.text}]
    return parts + file_parts(prompt.attachments) + _mentioned(prompt, folder)


def file_parts(attachments: Iterable[Attachment]) -> list[dict[str, JSON]]:
    """Return the parts that bring *attachments*; errors as in `message_parts`."""
    return [_file_part(item) for item in attachments]


def command_of(prompt: Prompt) -> tuple[str, str] | None:
    """Return the name and the arguments of the slash command that *prompt* is, if it may be one."""
    found = _COMMAND.fullmatch(prompt.text) if prompt.commands else None
    return (found[1], found[2] or "") if found else None


def _file_part(item: Attachment) -> dict[str, JSON]:
    mime, url = item.mime_type, item.data_url
    if not item.is_image and mime != _PDF:
        try:
            item.data.decode()
        except UnicodeDecodeError as error:
            # opencode 1.18.33 takes it, and then no message of the conversation works any more.
            msg = (
                f"opencode takes images, PDF and UTF-8 text; {item.name!r} ({mime}) is none. Name "
                "its path in the prompt instead, so that the agent opens it with a tool."
            )
            raise UnsupportedError(msg, provider=NAME, options=("attachments",)) from error
        # Of another type, even of text, it would be refused as well.
        mime = "text/plain"
        url = f"data:{mime};base64,{base64.b64encode(item.data).decode()}"
    return {"type": "file", "mime": mime, "filename": item.name, "url": url}


def _mentioned(prompt: Prompt, folder: str) -> list[dict[str, JSON]]:
    if not prompt.commands:
        return []
    parts: list[dict[str, JSON]] = []
    for name in _MENTION.findall(prompt.text):
        file = Path(folder, name)
        if file.is_file():
            url = file.absolute().as_uri()
            parts.append({"type": "file", "mime": "text/plain", "filename": name, "url": url})
    return parts
