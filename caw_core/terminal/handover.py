"""Handing the user's terminal to an agent's own interface, for a provider's `start_interactive`.

::

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        done = hand_over(
            request,
            [str(program), "--session-id=…"],
            env=child_environment(request.env),
            stdin=request.prompt or None,
            install_hint="…",
        )
        return InteractiveResult(exit_code=done.exit_code, output=done.output, resume_key="…")

The program runs on a pty of its own, as the leader of its session, so it has a ``/dev/tty``. What
it writes goes to the user's terminal, what the user types goes to it, and it learns of each change
of the window. It may suspend itself (Ctrl-Z): then the whole job is stopped, as a shell expects,
and ``fg`` brings it back. When it ends, everything that it left running is ended too.

**The first prompt.** ``argv`` can be read by every user of the machine and is limited to 128 KiB,
so use it for the prompt only where the program takes it in no other way. Some programs read it from
stdin and talk to the user through ``/dev/tty`` (claude does): *stdin* is for these. Do not type it
into the terminal: the program may be showing a question (do you trust this folder?), and the Enter
behind the prompt would answer it.

**Whoever is killed.** A small process beside the host, `caw_core.terminal.keeper`, holds the
terminal. When the host ends, however it does, it ends the program and gives the terminal back;
when it is killed itself, the host does. So no signal handler is needed in the host, and this may
be called in any thread. Only if both are killed at once does the terminal stay as it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import (
    NoTerminalError,
    ProcessError,
    ProgramNotFoundError,
    ProviderError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from caw_core.interactive import InteractiveRequest

ALL_BYTES = 16 * 1024 * 1024
"""How much output is kept, from its end, where ``capture_bytes`` is 0."""


@attrs.frozen(kw_only=True)
class HandedOver:
    """How the program ended.

    Attributes:
        exit_code: its exit status, or 128 and the number of the signal that ended it.
        output: the end of what it showed, escape sequences included; bytes that are no UTF-8 are
            replaced.
    """

    exit_code: int
    output: str = attrs.field(default="", repr=False)


def check_terminal() -> None:
    """Raise `NoTerminalError` unless stdin and stdout are a terminal, on Windows another error."""
    if sys.platform == "win32":
        msg = "handing over the terminal needs a POSIX system; use start_session() on Windows"
        raise UnsupportedError(msg, options=("interactive",))
    missing = [name for name, fd in (("stdin", 0), ("stdout", 1)) if not os.isatty(fd)]
    if missing:
        raise NoTerminalError(missing)


def hand_over(
    request: InteractiveRequest,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: str | None = None,
    install_hint: str = "",
) -> HandedOver:
    """Run a program in the user's terminal until it ends; the terminal is then as it was.

    Args:
        request: what was asked for. Of it count ``cwd``, ``capture_bytes`` (0: `ALL_BYTES`),
            ``deadlines.stop`` (how long the program gets to end when it must) and ``ending``.
        argv: the program's path and its arguments. No secrets: argv is public.
        env: the whole environment.
        stdin: what the program reads from its stdin; its terminal is then ``/dev/tty`` alone. None
            if its stdin is the terminal as well.
        install_hint: what to do if the program is not there.

    Raises:
        NoTerminalError: stdin or stdout is no terminal; nothing was started.
        UnsupportedError: this is Windows.
        ProgramNotFoundError: there is no such program.
        ProcessError: it could not be started, or the process beside the host was killed.
    """
    check_terminal()
    from caw_core.terminal.kept_program import KeptProgram

    told = {
        "argv": list(argv),
        "cwd": str(request.cwd),
        "capture_bytes": request.capture_bytes or ALL_BYTES,
    }
    with _file_of(stdin) as file:
        program = KeptProgram(told, env, file, grace=request.deadlines.stop)
        try:
            with request.ending.calls(program.end):
                answer = program.wait()
        finally:
            program.close()
    if "errno" in answer:
        raise _failure(argv[0], request.cwd, answer, install_hint)
    output = answer["output"].decode(errors="replace")
    return HandedOver(exit_code=answer["exit_code"], output=output)


@contextlib.contextmanager
def _file_of(stdin: str | None) -> Iterator[int | None]:
    if stdin is None:
        yield None
        return
    # Has no name, so nobody else can read it, and takes more than a pipe does.
    with tempfile.TemporaryFile() as file:
        file.write(stdin.encode())
        file.seek(0)
        yield file.fileno()


def _failure(program: str, cwd: Path, answer: Mapping[str, Any], hint: str) -> ProviderError:
    if not cwd.is_dir():
        return ProcessError(f"{program} cannot start in {str(cwd)!r}: no such folder")
    why = os.strerror(answer["errno"]) if answer["errno"] else answer["error"]
    if isinstance(OSError(answer["errno"], why), FileNotFoundError):
        return ProgramNotFoundError(program, hint=hint)
    return ProcessError(f"{program} could not be started: {why}")
