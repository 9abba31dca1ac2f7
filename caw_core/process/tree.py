"""A program with all that it started, as the stop ladder sees it; one form for each system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol


class Tree(Protocol):
    """What the ladder asks of a system. From any thread; a tree that is gone is fine."""

    def popen_options(self) -> dict[str, Any]:
        """Return the `subprocess.Popen` arguments to start the program with."""

    def adopt(self, popen: subprocess.Popen[bytes]) -> None:
        """Take the program that was just started.

        Raises:
            OSError: it cannot be kept together with what it will start; it has been ended.
        """

    def ask_to_end(self) -> None:
        """Let the program know that it should end."""

    def kill(self) -> None:
        """End the program and all that it started at once."""

    def wait(self) -> int:
        """Block until the program has ended; return its status as `subprocess.Popen` gives it."""

    def end_rest(self) -> None:
        """End what the program left, and wait a moment until it is gone; once, after `wait`."""


NewTree = Callable[[str], Tree]
"""Given what the program and its descendants will carry in their environment, makes a tree."""


def new_tree(marker: str) -> Tree:
    """Return this system's tree for one program."""
    if sys.platform == "win32":
        from caw_core.process.windows_tree import WindowsTree

        return WindowsTree()
    from caw_core.process.posix_tree import PosixTree

    return PosixTree(marker)
