"""`Image`: a picture as the result of a tool, or as a part of it."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from caw_core.errors import ConfigError

_BEGINNINGS: Final[Mapping[bytes, str]] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def _check_source(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bytes | str | Path):
        msg = f"an Image is made of bytes or a path, not {type(value).__name__}: {attribute.name}"
        raise ConfigError(msg)


@attrs.frozen
class Image:
    """A picture that the model is to see.

    Attributes:
        source: the picture's bytes (PNG, JPEG, GIF, WebP), or the path of its file.
        mime_type: e.g. ``"image/png"``; default what the bytes or the file's name say.
    """

    source: bytes | str | Path = attrs.field(
        validator=_check_source,
        repr=lambda source: f"<{len(source)} bytes>" if isinstance(source, bytes) else repr(source),
    )
    mime_type: str = attrs.field(default="", kw_only=True)

    def read(self) -> tuple[bytes, str]:
        """Return the bytes and their type.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not known what kind of picture it is.
        """
        data = self.source if isinstance(self.source, bytes) else Path(self.source).read_bytes()
        kind = self.mime_type or _kind(data)
        if not kind and not isinstance(self.source, bytes):
            kind = mimetypes.guess_type(str(self.source))[0] or ""
        if not kind.startswith("image/"):
            msg = "the image is no PNG, JPEG, GIF or WebP: give its mime_type"
            raise ValueError(msg)
        return data, kind


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), "")
