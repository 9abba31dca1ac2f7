"""A program that says and does exactly what a test wrote down, byte by byte.

`FakeCli` makes an executable that replays steps: bytes on stdout and stderr, pauses, waiting for
input, grandchildren that hold its stdout open, floods, and every way to end. It keeps what it was
started with and what it read. What a model should say is better scripted with
`caw_testkit.modelserver` and the real program; this is for what no real program does on request.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Action",
    "FakeCli",
    "Started",
    "close_stdout",
    "complain",
    "die",
    "flood",
    "grandchild",
    "ignore_sigterm",
    "leave",
    "pause",
    "say",
    "wait_for",
]

Kind = Literal[
    "say", "complain", "flood", "pause", "wait", "child", "close", "ignore", "leave", "die"
]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One step; the functions of this module make it. ``data`` is bytes in base64."""

    kind: Kind
    data: str = ""
    number: float = 0


@dataclass(frozen=True, kw_only=True)
class Started:
    """One run of the program."""

    pid: int
    argv: tuple[str, ...]
    """The arguments, without the program."""
    env: dict[str, str]
    cwd: str


def say(data: bytes) -> Action:
    """Write *data* to stdout, as it is."""
    return Action(kind="say", data=_text(data))


def complain(data: bytes) -> Action:
    """Write *data* to stderr, as it is."""
    return Action(kind="complain", data=_text(data))


def flood(count: int) -> Action:
    """Write *count* bytes to stderr. A parent that does not read them blocks the program here."""
    return Action(kind="flood", number=count)


def pause(seconds: float) -> Action:
    """Do nothing for *seconds*."""
    return Action(kind="pause", number=seconds)


def wait_for(data: bytes = b"") -> Action:
    """Read stdin until a line holds *data*, or to its end; without *data* one line."""
    return Action(kind="wait", data=_text(data))


def grandchild(seconds: float) -> Action:
    """Start a process that holds stdout and stderr open for *seconds*."""
    return Action(kind="child", number=seconds)


def close_stdout() -> Action:
    """Close stdout and go on."""
    return Action(kind="close")


def ignore_sigterm() -> Action:
    """Take no notice of SIGTERM from now on."""
    return Action(kind="ignore")


def leave(code: int) -> Action:
    """Exit with *code*; at the end of all steps the program exits with 0."""
    return Action(kind="leave", number=code)


def die(signal_number: int) -> Action:
    """Die of a signal."""
    return Action(kind="die", number=signal_number)


class FakeCli:
    """An executable that replays *actions* in each of its runs.

    Args:
        folder: where to make it, such as pytest's ``tmp_path``; a folder of its own is made there.
        actions: what it does, in order.
        name: the executable's name.

    Raises:
        RuntimeError: on Windows, where a script is no executable.
    """

    def __init__(self, folder: Path, *actions: Action, name: str = "agent") -> None:
        if os.name == "nt":
            message = "a FakeCli is a script with a #! line, which Windows does not run"
            raise RuntimeError(message)
        self._folder = folder / f"fake-{name}"
        self._folder.mkdir()
        self.path = self._folder / name
        """The executable."""
        self.replay(*actions)
        source = files("caw_testkit").joinpath("fake_cli_program.py").read_text("utf-8")
        self.path.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
        self.path.chmod(0o755)

    def replay(self, *actions: Action) -> None:
        """Do *actions* in later runs."""
        steps = [asdict(action) for action in actions]
        (self._folder / "actions.json").write_text(json.dumps(steps))

    @property
    def runs(self) -> list[Started]:
        """What the program was started with, each time; empty if it never was."""
        found = [json.loads(line) for line in self._lines("runs.jsonl")]
        return [Started(**{**run, "argv": tuple(run["argv"])}) for run in found]

    @property
    def stdin(self) -> bytes:
        """All that it has read, in all runs; it reads only while it waits."""
        file = self._folder / "stdin"
        return file.read_bytes() if file.exists() else b""

    @property
    def grandchildren(self) -> list[int]:
        """The process ids of all grandchildren."""
        return [int(line) for line in self._lines("grandchildren")]

    def _lines(self, name: str) -> list[str]:
        file = self._folder / name
        return file.read_text().splitlines() if file.exists() else []


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
