"""A prompt as the line that sends it to claude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.errors import UnsupportedError
from caw_provider_claude_code.errors import NAME

if TYPE_CHECKING:
    from caw_core.attachments import Attachment
    from caw_core.blocks import JSON
    from caw_core.provider import Prompt

_IMAGES: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
"""What the Messages API takes as an image."""

_PDF: Final = "application/pdf"


def user_line(prompt: Prompt, prompt_id: str) -> dict[str, JSON]:
    """Return the line that sends *prompt* to the model, its text exactly as it is.

    Claude takes the last text block for what a person typed: it runs ``/commands`` in it and reads
    the files after an ``@``. The other blocks it passes on, and an empty last one it drops, after
    its hooks have seen the whole text (2.1.197 and 2.1.329, observed at the model's end).
    ``client_composed`` says the same to versions from 2.1.248 on. With `Prompt.commands` the text
    is that last block, since it is what a person typed.

    Raises:
        UnsupportedError: an attachment is of a kind that the model cannot be given.
    """
    content = [_attached(item) for item in prompt.attachments]
    content.append({"type": "text", "text": prompt.text})
    line: dict[str, JSON] = {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": prompt_id,
    }
    if not prompt.commands:
        content.append({"type": "text", "text": ""})
        line["client_composed"] = True
    return line


def _attached(item: Attachment) -> dict[str, JSON]:
    if item.mime_type in _IMAGES:
        return {"type": "image", "source": _encoded(item)}
    if item.mime_type == _PDF:
        return {"type": "document", "title": item.name, "source": _encoded(item)}
    try:
        text = item.data.decode()
    except UnicodeDecodeError:
        msg = (
            f"claude cannot be given {item.name!r} ({item.mime_type}): it takes images (GIF, JPEG, "
            "PNG, WebP), PDF and text in UTF-8. Name the file in the prompt instead."
        )
        option = "images" if item.is_image else "files"
        raise UnsupportedError(msg, provider=NAME, options=(option,)) from None
    # Whatever text it is, the API knows one type for it.
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "title": item.name, "source": source}


def _encoded(item: Attachment) -> dict[str, JSON]:
    return {"type": "base64", "media_type": item.mime_type, "data": item.base64}
