"""The provider for Codex, under the wrapper's name for it."""

from __future__ import annotations

from typing import ClassVar

from caw.providers import CoreProvider

__all__ = ["CodexProvider"]


class CodexProvider(CoreProvider):
    """caw-core's provider ``codex``."""

    core_name: ClassVar[str] = "codex"
