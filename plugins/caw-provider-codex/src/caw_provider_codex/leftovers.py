"""Ending what a conversation's commands left running, also what left its process group.

codex ends the group of a command; a program that made a session of its own is not in it. All
commands of a conversation carry a mark in their environment, and children inherit it.
"""

from __future__ import annotations

import os
from typing import Final

from caw_core.process.group import kill_marked

MARK: Final = "CAW_CODEX_CONVERSATION"
"""The variable that holds the mark."""


def new_mark() -> str:
    """Return a mark that no other conversation has."""
    return os.urandom(12).hex()


def end_marked(mark: str) -> None:
    """End every process that carries *mark*, and wait until they are gone; Linux only."""
    kill_marked(mark, variable=MARK)
