"""The provider for opencode, under the wrapper's name for it."""

from __future__ import annotations

from typing import ClassVar

from caw.providers import CoreProvider

__all__ = ["OpencodeProvider"]


class OpencodeProvider(CoreProvider):
    """caw-core's provider ``opencode``."""

    core_name: ClassVar[str] = "opencode"
