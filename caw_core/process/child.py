"""A program that an agent consists of, as a child of this process."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ProcessError, ProgramNotFoundError
from caw_core.process.group import MARKER, new_marker
from caw_core.process.guard import host_guard
from caw_core.process.lines import LineSplitter
from caw_core.process.tree import NewTree, new_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger("caw.process")

CHUNK = 65536
STDERR_TAIL_BYTES = 16 * 1024


@attrs.frozen(kw_only=True)
class ProcessExit:
    """How a program ended: an exit ``code``, or the ``signal`` that ended it."""

    code: int | None
    signal: int | None

    def __str__(self) -> str:
        """Say it in words."""
        return f"exit code {self.code}" if self.signal is None else f"signal {self.signal}"


class Process:
    """A running program with a group of its own, whose output is read at all times.

    Its stdout is cut into lines and handed to *on_line*, its stderr is drained into a bounded
    tail, and *on_exit* is called once, after the last line. Both callbacks run in threads of this
    object and must not block for long: while they do, the program is not read. They may be called
    before the constructor has returned, if the program is that quick.

    Args:
        argv: the program and its arguments. No secrets and no prompts: argv is public.
        cwd: the folder to start in.
        env: the whole environment.
        on_line: called for each line of stdout, without its end.
        on_exit: called with this object when the program has ended and its output has been read.
        name: the program's name in messages.
        install_hint: what to do if it is not there.
        tree: how the program is kept together with what it starts; this system's way if not given.

    Attributes:
        name: the program's name in messages.
        exit: how it ended; None while it runs.
        marker: what all that it starts carries in ``CAW_PROCESS_ID``.

    Raises:
        ProgramNotFoundError: there is no such program.
        ProcessError: it could not be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[bytes], None],
        on_exit: Callable[[Process], None] = lambda _: None,
        name: str = "",
        install_hint: str = "",
        tree: NewTree = new_tree,
    ) -> None:
        self.name = name or argv[0]
        self.exit: ProcessExit | None = None
        self._on_line = on_line
        self._on_exit = on_exit
        self._stderr: deque[bytes] = deque()
        self._stderr_size = 0
        self._failed = False
        self._write_lock = threading.Lock()
        self._stop_lock = threading.Lock()
        self._ended = threading.Event()
        self._finished = threading.Event()
        guard = host_guard()
        self._guard = guard
        self.marker = f"{guard.marker}.{new_marker()}"

        def launch() -> tuple[int, Process]:
            self._tree = tree(self.marker)
            self._popen = subprocess.Popen(  # noqa: S603 - starting programs is what this is for
                list(argv),
                cwd=cwd,
                # A caw inside an agent of ours adds its own marker, so that ours still finds all.
                env={**env, MARKER: ":".join(filter(None, (env.get(MARKER), self.marker)))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                **self._tree.popen_options(),
            )
            self._tree.adopt(self._popen)
            return self._popen.pid, self

        try:
            guard.start(launch)
        except OSError as error:
            # Windows has an error of its own for it, POSIX the one of a missing program.
            if not cwd.is_dir():
                msg = f"{self.name} cannot start in {str(cwd)!r}: no such folder"
                raise ProcessError(msg) from error
            if isinstance(error, FileNotFoundError):
                raise ProgramNotFoundError(argv[0], hint=install_hint) from error
            msg = f"{self.name} could not be started: {error.strerror or error}"
            raise ProcessError(msg) from error
        self._readers = [
            self._thread("stdout", self._read_stdout),
            self._thread("stderr", self._read_stderr),
        ]
        self._thread("wait", self._wait)

    def _thread(self, role: str, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(
            target=target,
            name=f"caw-{self.name}-{self.pid}-{role}",
            daemon=True,
        )
        thread.start()
        return thread

    @property
    def pid(self) -> int:
        """The program's process id, which is its group's too."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return not self._ended.is_set()

    @property
    def stderr_tail(self) -> str:
        """The last part of what the program wrote to stderr."""
        return b"".join(self._stderr)[-STDERR_TAIL_BYTES:].decode(errors="replace")

    def write(self, data: bytes, *, wait: float = -1) -> None:
        """Write all of *data* to the program's stdin.

        Blocks while the program does not read; `stop` from another thread ends that.

        Args:
            data: the bytes.
            wait: how many seconds to wait for another writer to finish; -1 for as long as it takes.

        Raises:
            ProcessError: the program is gone, or another writer did not finish in time.
        """
        if not self._write_lock.acquire(timeout=wait):
            msg = f"{self.name} does not read its input"
            raise ProcessError(msg, stderr_tail=self.stderr_tail)
        failure: Exception | None = None
        try:
            stdin = self._popen.stdin
            view = memoryview(data)
            while view:
                if stdin is None or stdin.closed:
                    raise BrokenPipeError
                view = view[stdin.write(view) or 0 :]
        except (OSError, ValueError) as error:
            failure = error
        finally:
            self._write_lock.release()
        if failure is not None:
            # Without the lock: how the program ended is known only after its stdin was closed.
            raise self.exit_error(f"{self.name} no longer takes input") from failure

    def exit_error(self, message: str) -> ProcessError:
        """Return the error that says how the program ended, with the end of its stderr."""
        self._finished.wait(0.5)
        how = f" ({self.exit})" if self.exit else ""
        tail = self.stderr_tail
        last = f". It said: {tail.strip().splitlines()[-1][:500]}" if tail.strip() else ""
        return ProcessError(
            f"{message}{how}{last}",
            exit_code=self.exit.code if self.exit else None,
            signal=self.exit.signal if self.exit else None,
            stderr_tail=tail,
        )

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        """Wait until the program has ended and its output was read; None if *timeout* passed."""
        self._finished.wait(timeout)
        return self.exit

    def stop(self, step_seconds: float = 2.0) -> None:
        """End the program and everything that it started; idempotent, from any thread.

        Closes stdin, then asks as `ask_to_end` does, then kills, waiting at most *step_seconds*
        after each.
        """
        with self._stop_lock:
            self.end_input()
            if not self._ended.wait(step_seconds):
                self.ask_to_end()
                if not self._ended.wait(step_seconds):
                    self.kill()
            self._finished.wait(step_seconds)

    def ask_to_end(self) -> None:
        """Send SIGTERM to the program's group, on Windows Ctrl-Break; it may not obey."""
        self._tree.ask_to_end()

    def kill(self) -> None:
        """End the program and everything that it started at once."""
        self._tree.kill()

    def end_input(self) -> None:
        """Close the program's stdin, so that it knows that nothing more will come; idempotent."""
        # A writer may hold the lock for ever; the pipe is then closed by killing the reader's end.
        if self._write_lock.acquire(timeout=0.1):
            try:
                if self._popen.stdin is not None:
                    with contextlib.suppress(OSError):
                        self._popen.stdin.close()
            finally:
                self._write_lock.release()

    def _read_stdout(self) -> None:
        lines = LineSplitter()
        for chunk in self._chunks(self._popen.stdout):
            self._hand_over(lines.feed(chunk))
        self._hand_over(lines.flush())

    def _hand_over(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                self._on_line(line)
            except Exception:
                # A program whose output nobody reads any more would block in the middle of it.
                if not self._failed:
                    log.exception("taking a line of %s failed; told only once", self.name)
                self._failed = True

    def _read_stderr(self) -> None:
        for chunk in self._chunks(self._popen.stderr):
            self._stderr.append(chunk)
            self._stderr_size += len(chunk)
            while self._stderr_size - len(self._stderr[0]) >= STDERR_TAIL_BYTES:
                self._stderr_size -= len(self._stderr.popleft())

    def _chunks(self, pipe: Any) -> Any:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := os.read(pipe.fileno(), CHUNK):
                yield chunk

    def _wait(self) -> None:
        code = self._tree.wait()
        self.exit = ProcessExit(
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
        )
        self._ended.set()
        self._tree.end_rest()
        self.end_input()
        for reader in self._readers:
            # Whoever still holds the pipe left both our group and its own environment behind.
            reader.join(timeout=1.0)
        self._guard.forget(self.pid)
        self._finished.set()
        self._on_exit(self)
