"""A JSON-RPC peer over a program's stdin and stdout, in codex's dialect: no ``jsonrpc`` member."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ProcessError
from caw_core.json_fields import mapping, number, text
from caw_core.json_lines import Line, read_line, write_line
from caw_core.process import Process
from caw_provider_codex.approvals import answer_without_asking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


log = logging.getLogger("caw.codex")

_STRAY_THREADS: Final = 32
_STRAY_LINES: Final = 256


class RpcError(Exception):
    """codex refused a request; ``code``, ``message`` and ``data`` are its own."""

    def __init__(self, code: int, message: str, data: JSON = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{message} ({code})")

    def __reduce__(self) -> tuple[type[RpcError], tuple[int, str, JSON]]:
        """Pickle by the arguments, not by the message."""
        return type(self), (self.code, self.message, self.data)


@attrs.frozen
class Reply:
    """What became of a request: codex's result, or why there is none."""

    result: dict[str, JSON]
    error: RpcError | ProcessError | None = None


class Sink(Protocol):
    """Who gets what codex says about a thread. Called in the reader's thread; must not block."""

    def receive(self, line: Line) -> bool:
        """Take a notification or a request of the thread, or one that concerns all threads.

        Returns:
            Whether it will answer, where it is a request.
        """

    def ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that the program is gone; nothing more comes from *peer*."""


class Channel(Protocol):
    """A running program that is talked to in lines; see `caw_core.process.Process`."""

    @property
    def pid(self) -> int:
        """The program's process id."""

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""

    def write(self, data: bytes, *, wait: float = -1) -> None:
        """Send *data*, one line."""

    def stop(self, step_seconds: float) -> None:
        """End the program and all that it started."""


class Peer:
    """One running ``codex app-server``.

    Args:
        argv: the program and its arguments.
        cwd: the folder to start it in.
        env: its whole environment.
        start: starts it; takes what `caw_core.process.Process` takes.

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
        start: Callable[..., Channel] = Process,
    ) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Callable[[Reply], None]] = {}
        self._sinks: dict[str, Sink] = {}
        self._strays: OrderedDict[str, deque[Line]] = OrderedDict()
        self._end: ProcessError | None = None
        self._process = start(
            argv,
            cwd=cwd,
            env=env,
            on_line=self._on_line,
            on_exit=self._on_exit,
            name="codex",
        )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program takes requests."""
        return self._end is None and self._process.running

    def send(
        self,
        method: str,
        params: dict[str, JSON],
        on_reply: Callable[[Reply], None],
        *,
        wait: float = -1,
    ) -> None:
        """Send a request; *on_reply* is called exactly once, usually in the reader's thread.

        Args:
            method: the method.
            params: its parameters.
            on_reply: takes the answer, or the reason why none comes.
            wait: seconds to wait for another sender to finish; -1 for as long as it takes.

        Raises:
            ConfigError: *params* cannot be sent; see `caw_core.json_lines.encode`.
        """
        number_ = next(self._ids)
        data = write_line({"id": number_, "method": method, "params": params})
        with self._lock:
            end = self._end
            if end is None:
                self._waiting[number_] = on_reply
        if end is not None:
            on_reply(Reply({}, end))
            return
        try:
            self._process.write(data, wait=wait)
        except ProcessError as error:
            self._settle(number_, Reply({}, error))

    def call(
        self,
        method: str,
        params: dict[str, JSON],
        *,
        timeout: float | None,
        on_result: Callable[[dict[str, JSON]], None] = lambda _: None,
    ) -> dict[str, JSON]:
        """Send a request and return its result.

        Args:
            method: the method.
            params: its parameters.
            timeout: seconds to wait; None for as long as it takes.
            on_result: called with the result before any later line is handled.

        Raises:
            RpcError: codex refused.
            ProcessError: the program ended first.
            TimeoutError: no answer came in time.
        """
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()

        def take(reply: Reply) -> None:
            if reply.error is None:
                on_result(reply.result)
            replies.put(reply)

        self.send(method, params, take, wait=-1 if timeout is None else max(0.0, timeout))
        try:
            reply = replies.get(timeout=None if timeout is None else max(0.0, timeout))
        except queue.Empty:
            msg = f"codex did not answer {method!r}"
            raise TimeoutError(msg) from None
        if reply.error is not None:
            raise reply.error
        return reply.result

    def notify(self, method: str) -> None:
        """Send a notification without parameters."""
        self._process.write(write_line({"method": method}))

    def answer(self, request_id: JSON, answer: dict[str, JSON]) -> None:
        """Answer a request of codex; *answer* holds ``result`` or ``error``."""
        try:
            self._process.write(write_line({"id": request_id, **answer}))
        except ProcessError as error:
            log.debug("codex is gone, a request of it stays unanswered: %s", error)

    def subscribe(self, thread_id: str, sink: Sink) -> bool:
        """Let *sink* have what codex says about a thread, also what came already.

        Returns:
            False if somebody has it already; nothing has changed then.
        """
        with self._lock:
            if self._sinks.setdefault(thread_id, sink) is not sink:
                return False
            strays = self._strays.pop(thread_id, ())
        for line in strays:
            sink.receive(line)
        return True

    def unsubscribe(self, sink: Sink) -> None:
        """Let *sink* have nothing any more."""
        with self._lock:
            for thread_id in [key for key, value in self._sinks.items() if value is sink]:
                del self._sinks[thread_id]

    def stop(self, step_seconds: float) -> None:
        """End the program and all that it started; see `caw_core.process.Process.stop`."""
        self._process.stop(step_seconds)

    def _on_line(self, raw: bytes) -> None:
        line = read_line(raw)
        message = line.message
        if message is None or not ("method" in message or "id" in message):
            self._unclear(Line(raw, None))
        elif "method" not in message:
            self._on_reply(message)
        else:
            self._route(line, message)

    def _on_reply(self, message: dict[str, JSON]) -> None:
        error = mapping(message, "error")
        failure: RpcError | None = None
        if "error" in message:
            code = number(error, "code") or 0
            failure = RpcError(code, text(error, "message") or "no reason given", error.get("data"))
        self._settle(number(message, "id"), Reply(mapping(message, "result"), failure))

    def _settle(self, number_: int | None, reply: Reply) -> None:
        with self._lock:
            on_reply = self._waiting.pop(number_, None) if number_ is not None else None
        if on_reply is not None:
            on_reply(reply)

    def _route(self, line: Line, message: dict[str, JSON]) -> None:
        thread_id = text(mapping(message, "params"), "threadId")
        with self._lock:
            if thread_id:
                sink = self._sinks.get(thread_id)
                sinks = [] if sink is None else [sink]
            else:
                sinks = list(dict.fromkeys(self._sinks.values()))
            if not sinks and "id" not in message:
                self._keep(thread_id, line)
        if "id" not in message:
            for sink in sinks:
                sink.receive(line)
        # One of them must answer, and none may answer twice.
        elif not any(sink.receive(line) for sink in sinks):
            self.answer(message["id"], answer_without_asking(message))

    def _keep(self, thread_id: str, line: Line) -> None:
        # A subagent's thread speaks before its parent has told us its id; the lock is held.
        lines = self._strays.setdefault(thread_id, deque(maxlen=_STRAY_LINES))
        lines.append(line)
        if len(self._strays) > _STRAY_THREADS:
            self._strays.popitem(last=False)

    def _unclear(self, line: Line) -> None:
        with self._lock:
            sinks = list(dict.fromkeys(self._sinks.values()))
        if len(sinks) == 1:
            sinks[0].receive(line)
        else:
            log.warning("codex wrote a line that is no message (%d bytes)", len(line.raw))

    def _on_exit(self, process: Process) -> None:
        error = process.exit_error("codex ended unexpectedly")
        with self._lock:
            self._end = error
            waiting = list(self._waiting.values())
            self._waiting.clear()
            sinks = list(dict.fromkeys(self._sinks.values()))
        for on_reply in waiting:
            on_reply(Reply({}, error))
        for sink in sinks:
            sink.ended(self, error)
