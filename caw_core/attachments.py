"""What can go with a prompt: images and files."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class Attachment:
    """A file or an image that is sent with a prompt.

    Attributes:
        name: the file's name, for the agent and the record.
        mime_type: what it is, e.g. ``"image/png"``.
        data: its bytes; read when the attachment is made, so a later change does not matter.
        path: where it was read from, absolute; None if it was made from bytes.
    """

    name: str
    mime_type: str
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    path: Path | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, mime_type: str | None = None) -> Self:
        """Read a file.

        Args:
            path: the file.
            mime_type: what it is; default by the name's ending, else ``application/octet-stream``.

        Raises:
            ConfigError: it cannot be read.
        """
        file = Path(path).expanduser().absolute()
        try:
            data = file.read_bytes()
        except OSError as error:
            msg = f"cannot attach {str(file)!r}: {error.strerror}"
            raise ConfigError(msg) from error
        guessed = mime_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return cls(name=file.name, mime_type=guessed, data=data, path=file)

    @property
    def is_image(self) -> bool:
        """Whether it is an image."""
        return self.mime_type.startswith("image/")

    @property
    def base64(self) -> str:
        """The data as base64 text."""
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        """The data as a ``data:`` URL."""
        return f"data:{self.mime_type};base64,{self.base64}"

    def describe(self) -> Mapping[str, JSON]:
        """Return what the record keeps of it."""
        return {
            "kind": "image" if self.is_image else "file",
            "name": self.name,
            "mime_type": self.mime_type,
            "size": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }
