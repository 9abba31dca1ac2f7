"""A transport with faults: a program that stands before another one and spoils what it says.

`FaultyProgram` makes an executable that starts the real program, passes its stdin, stdout and
stderr through, and does one thing wrong at a chosen point: when a line of output holds given
bytes. A program that serves HTTP on loopback gets a proxy before its port, which does the same to
its server-sent events. Give it to the code under test in place of the real program.
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
    "Fault",
    "FaultyProgram",
    "crlf",
    "cut_line",
    "exit_with",
    "flood_stderr",
    "huge_line",
    "insert",
    "insert_copy",
    "kill",
]

Kind = Literal["insert", "copy", "huge", "flood", "crlf", "cut", "exit", "kill"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong; the functions of this module make it.

    ``text`` and ``more`` are bytes in base64, ``count`` a number of bytes, ``code`` an exit status.
    """

    kind: Kind
    text: str = ""
    more: str = ""
    count: int = 0
    code: int = 0


def insert(*lines: bytes) -> Fault:
    """Write *lines*, which need no line ends, before the line that is waited for."""
    return Fault(kind="insert", text=_text(b"\n".join(lines)))


def insert_copy(old: bytes, new: bytes) -> Fault:
    """Write a copy of the line that is waited for before it, with *new* in place of *old*."""
    return Fault(kind="copy", text=_text(old), more=_text(new))


def huge_line(count: int) -> Fault:
    """Write a JSON object of *count* bytes on one line before the line that is waited for."""
    return Fault(kind="huge", count=count)


def flood_stderr(count: int) -> Fault:
    """Write *count* bytes to stderr before the line that is waited for."""
    return Fault(kind="flood", count=count)


def crlf() -> Fault:
    r"""End the line that is waited for, and all after it, with ``\r\n``."""
    return Fault(kind="crlf")


def cut_line(code: int = 0) -> Fault:
    """Write half of the line that is waited for, without an end, and exit with *code*."""
    return Fault(kind="cut", code=code)


def exit_with(code: int, *, stderr: bytes = b"") -> Fault:
    """Write *stderr* in place of the line that is waited for, and exit with *code*."""
    return Fault(kind="exit", code=code, text=_text(stderr))


def kill() -> Fault:
    """Die of SIGKILL in place of the line that is waited for, and the real program too."""
    return Fault(kind="kill")


class FaultyProgram:
    """An executable that stands before *program*. It does no harm until a fault is armed.

    Args:
        folder: where to make it, such as pytest's ``tmp_path``; a folder of its own is made there.
        program: the real program.
        http: the program serves HTTP on 127.0.0.1 and writes its URL to stdout, which is replaced
            by the proxy's; faults then happen in its ``text/event-stream``.

    Raises:
        RuntimeError: on Windows, where a script is no executable.
    """

    def __init__(
        self, folder: Path, program: str | os.PathLike[str], *, http: bool = False
    ) -> None:
        if os.name == "nt":
            message = "a FaultyProgram is a script with a #! line, which Windows does not run"
            raise RuntimeError(message)
        self._folder = folder / "faulty"
        self._folder.mkdir()
        self._armed = 0
        real = os.fspath(program)
        self.path = self._folder / os.path.basename(real)  # noqa: PTH119 - of a path or a str
        """The executable."""
        (self._folder / "program.json").write_text(json.dumps({"program": real, "http": http}))
        relay = files("caw_testkit").joinpath("faulty_relay.py").read_text("utf-8")
        self.path.write_text(f"#!{sys.executable} -IS\n{relay}", encoding="utf-8")
        self.path.chmod(0o755)

    def arm(self, fault: Fault, at: bytes) -> None:
        """Let *fault* happen once, at the next line of output that holds *at*.

        It takes the place of one that was armed before; running programs see it too.
        """
        self._armed += 1
        order = {**asdict(fault), "at": _text(at), "number": self._armed}
        # Renamed into place: the relay must not read half of it.
        draft = self._folder / "order.new"
        draft.write_text(json.dumps(order))
        draft.rename(self._folder / "order.json")

    @property
    def happened(self) -> bool:
        """Whether the fault that was armed last has happened."""
        return (self._folder / f"happened-{self._armed}").exists()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
