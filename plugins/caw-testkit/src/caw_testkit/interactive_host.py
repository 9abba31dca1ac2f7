"""A program on a terminal that hands it to an agent's own interface, and tells how that went.

Run as ``python -m caw_testkit.interactive_host FOLDER``, or rather by `HandedTerminal`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if sys.platform == "win32":
    raise ImportError("a terminal for tests needs a POSIX system")

from caw_testkit.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HandedTerminal"]

_TASK = "task.pickle"
_RESULT = "result.json"
_SECONDS = 90.0
"""Programs that take seconds to start take many more on a machine that does much else."""

_PRESSES = 9

_PASTE = "\x1b[200~{}\x1b[201~"
"""Bracketed paste: what is typed in one go may be taken for one, and its Enter for a new line."""


class HandedTerminal(Terminal):
    """A terminal on which a program calls `caw_core.Agent.interactive`.

    Use it as a context manager, or close it.

    Args:
        provider: its name as users type it, or the file and the qualified name of its class.
        options: the other arguments of `caw_core.Agent`; they are pickled.
        folder: an empty folder, for what the program is told and what it tells.
        call: the arguments of `caw_core.Agent.interactive`.
    """

    def __init__(
        self,
        provider: str | tuple[str, str],
        options: Mapping[str, Any],
        folder: Path,
        **call: Any,
    ) -> None:
        self._folder = folder
        task = {"provider": provider, "options": dict(options), "call": call}
        folder.joinpath(_TASK).write_bytes(pickle.dumps(task))
        path = os.pathsep.join(filter(None, sys.path))
        super().__init__(
            [sys.executable, "-m", __name__, str(folder)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )

    def sees(self, text: str) -> Self:
        """Wait until *text* is on the screen; raises as `wait_for` does."""
        self.wait_for(text, _SECONDS)
        return self

    def says(self, words: str) -> Self:
        """Type *words*, wait until the screen shows them, and press Enter."""
        self.type(_PASTE.format(words))
        self.sees(words)
        self.type("\r")
        return self

    def presses(self, keys: str, *, then: str) -> Self:
        """Press *keys* until *then* is on the screen.

        More than once if need be: an interface may pass over what is typed while it draws.

        Raises:
            TimeoutError: it did not come; the message shows the screen.
        """
        for _ in range(_PRESSES):
            self.type(keys)
            with contextlib.suppress(TimeoutError):
                self.wait_for(then, _SECONDS / _PRESSES)
                return self
        return self.sees(then)

    def leaves(self, keys: str) -> dict[str, Any]:
        """Press *keys* until the program has ended; returns and raises as `result` does."""
        for _ in range(_PRESSES):
            self.type(keys)
            with contextlib.suppress(TimeoutError):
                self.wait(_SECONDS / _PRESSES)
                break
        return self.result()

    def result(self) -> dict[str, Any]:
        """Wait until the program has ended and return what became of it.

        Returns:
            The members of `caw_core.interactive.InteractiveResult`, and ``settings``: those of the
            terminal before and after. Where it failed: ``error`` and ``settings``.

        Raises:
            TimeoutError: it did not end; the message shows the screen.
        """
        self.wait(_SECONDS)
        told: dict[str, Any] = json.loads(self._folder.joinpath(_RESULT).read_text("utf-8"))
        return told


def _settings() -> str:
    return repr(termios.tcgetattr(0))


def _run(folder: Path) -> None:
    import attrs

    from caw_core import Agent, PluginRegistry
    from caw_testkit.conformance.provider_resumed import NAME, load_class

    task = pickle.loads(folder.joinpath(_TASK).read_bytes())  # noqa: S301 - it is ours
    before = _settings()
    told: dict[str, Any]
    try:
        registry = PluginRegistry()
        provider = task["provider"]
        if not isinstance(provider, str):
            registry.register_provider(NAME, load_class(*provider), replace=True)
            provider = NAME
        agent = Agent(provider, registry=registry, **task["options"])
        told = attrs.asdict(agent.interactive(**task["call"]))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        told = {"error": f"{type(error).__name__}: {error}"}
    told["settings"] = [before, _settings()]
    folder.joinpath(_RESULT).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
