"""One running claude: its messages, and the control protocol that runs beside them.

Either side may ask: a ``control_request`` has a ``request_id``, and a ``control_response`` repeats
it. A request of claude's that it no longer needs an answer to is withdrawn by a
``control_cancel_request`` (claude 2.1.197, observed).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ProcessError
from caw_core.json_fields import mapping, text
from caw_core.json_lines import Line, read_line, write_line
from caw_core.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


log = logging.getLogger("caw.claude_code")

_WRITE_SECONDS: Final = 2.0
"""How long a request or an answer waits for a prompt that is still being written."""


class ControlError(Exception):
    """Claude refused a control request, in its own words."""


@attrs.frozen
class Reply:
    """What became of a request of ours: claude's answer, or why there is none."""

    response: dict[str, JSON]
    error: ControlError | ProcessError | None = None


class Ask:
    """A request of claude's, to be settled once: by an answer, or by its withdrawal.

    Attributes:
        request: what claude asks, with its ``subtype``.
        id: claude's id of the request.
        withdrawn: set when claude no longer wants to know.
    """

    def __init__(
        self,
        request: dict[str, JSON],
        settle: Callable[[dict[str, JSON]], bool],
        request_id: str = "",
    ) -> None:
        self.request = request
        self.id = request_id
        self.withdrawn = threading.Event()
        self._settle = settle
        self._on_withdrawal: Callable[[], None] = lambda: None

    @property
    def subtype(self) -> str:
        """What kind of request it is, such as ``can_use_tool``."""
        return text(self.request, "subtype")

    def answer(self, response: dict[str, JSON]) -> bool:
        """Answer; False if it was settled before, and then nothing was sent."""
        return self._settle({"subtype": "success", "response": response})

    def refuse(self, reason: str) -> bool:
        """Say that there is no answer; claude takes that as a no. False as for `answer`."""
        return self._settle({"subtype": "error", "error": reason})

    def when_withdrawn(self, callback: Callable[[], None]) -> None:
        """Call *callback* when claude withdraws the request; look at `withdrawn` afterwards."""
        self._on_withdrawal = callback

    def withdraw(self) -> None:
        """Take note that claude no longer wants to know."""
        self.withdrawn.set()
        self._on_withdrawal()


class Owner(Protocol):
    """Who started the program. All is called in the program's own threads and must not block.

    Each call names the peer, since what an old one still says may come after a new one started.
    """

    def receive(self, peer: Peer, line: Line) -> None:
        """Take a line that is no part of the control protocol."""

    def asked(self, peer: Peer, ask: Ask) -> None:
        """Take a request of claude's, to be settled now or later, from any thread."""

    def ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that the program is gone; nothing more comes."""


class Peer:
    """One running claude.

    Args:
        argv: the program and its arguments.
        cwd: the folder in which the agent works.
        env: its whole environment.
        owner: who gets what claude says.

    Raises:
        ProgramNotFoundError: there is no such program.
        ProcessError: it could not be started.
    """

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], owner: Owner
    ) -> None:
        self._owner = owner
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[str, Callable[[Reply], None]] = {}
        self._asks: dict[str, Ask] = {}
        self._end: ProcessError | None = None
        self._process = Process(
            argv, cwd=cwd, env=env, on_line=self._on_line, on_exit=self._on_exit, name="claude"
        )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def marker(self) -> str:
        """What all that the program starts carries; see `caw_core.process.Process`."""
        return self._process.marker

    @property
    def running(self) -> bool:
        """Whether the program takes messages."""
        return self._end is None and self._process.running

    def send(self, message: dict[str, JSON]) -> None:
        """Send a message.

        Raises:
            ConfigError: a text in it is no Unicode, so it cannot be sent.
            ProcessError: the program is gone.
        """
        self._process.write(write_line(message))

    def request(self, request: dict[str, JSON], on_reply: Callable[[Reply], None]) -> None:
        """Ask claude; *on_reply* is called exactly once, usually in the reader's thread.

        Raises:
            ConfigError: a text in *request* is no Unicode, so it cannot be sent.
        """
        request_id = f"caw-{next(self._ids)}"
        envelope = {"type": "control_request", "request_id": request_id, "request": request}
        data = write_line(envelope)
        with self._lock:
            end = self._end
            if end is None:
                self._waiting[request_id] = on_reply
        if end is not None:
            on_reply(Reply({}, end))
            return
        try:
            self._process.write(data, wait=_WRITE_SECONDS)
        except ProcessError as error:
            self._settle_request(request_id, Reply({}, error))

    def call(self, request: dict[str, JSON], *, timeout: float | None) -> dict[str, JSON]:
        """Ask claude and return its answer.

        Args:
            request: what to ask, with its ``subtype``.
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            ControlError: claude refused.
            ProcessError: the program ended first.
            TimeoutError: no answer came in time.
        """
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.request(request, replies.put)
        try:
            reply = replies.get(timeout=None if timeout is None else max(0.0, timeout))
        except queue.Empty:
            msg = f"claude did not answer {text(request, 'subtype')!r}"
            raise TimeoutError(msg) from None
        if reply.error is not None:
            raise reply.error
        return reply.response

    def send_last(self, message: dict[str, JSON]) -> None:
        """Send a message after which nothing more comes; the program ends when it has answered.

        Raises:
            As `send` does.
        """
        self.send(message)
        self._process.end_input()

    def signal_interrupt(self) -> None:
        """Make a program that takes no more messages end its turn."""
        if not self._process.running:
            return
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)

    def stop(self, step_seconds: float) -> None:
        """End the program and all that it started; see `caw_core.process.Process.stop`."""
        self._process.stop(step_seconds)

    def _on_line(self, raw: bytes) -> None:
        line = read_line(raw)
        message = line.message or {}
        match text(message, "type"):
            case "control_response":
                self._on_response(mapping(message, "response"))
            case "control_request":
                self._on_request(text(message, "request_id"), mapping(message, "request"))
            case "control_cancel_request":
                self._withdraw(text(message, "request_id"))
            case _:
                self._owner.receive(self, line)

    def _on_response(self, response: dict[str, JSON]) -> None:
        error = None
        if text(response, "subtype") != "success":
            error = ControlError(text(response, "error") or "no reason given")
        reply = Reply(mapping(response, "response"), error)
        self._settle_request(text(response, "request_id"), reply)

    def _settle_request(self, request_id: str, reply: Reply) -> None:
        with self._lock:
            on_reply = self._waiting.pop(request_id, None)
        if on_reply is not None:
            on_reply(reply)

    def _on_request(self, request_id: str, request: dict[str, JSON]) -> None:
        ask = Ask(request, lambda answer: self._settle_ask(request_id, answer), request_id)
        with self._lock:
            self._asks[request_id] = ask
        try:
            self._owner.asked(self, ask)
        except Exception:
            # Without an answer the turn would hang for ever.
            log.exception("a request of claude's (%s) could not be handled", ask.subtype)
            ask.refuse("the client failed to handle this request")

    def _settle_ask(self, request_id: str, answer: dict[str, JSON]) -> bool:
        """Send the one answer that a request gets; every answer goes through here."""
        response = {"type": "control_response", "response": {"request_id": request_id, **answer}}
        # First, because an answer that cannot be written down must leave the request open.
        data = write_line(response)
        with self._lock:
            if self._asks.pop(request_id, None) is None:
                return False
        try:
            self._process.write(data, wait=_WRITE_SECONDS)
        except ProcessError as error:
            log.debug("claude is gone, a request of it stays unanswered: %s", error)
        return True

    def _withdraw(self, request_id: str) -> None:
        with self._lock:
            ask = self._asks.pop(request_id, None)
        if ask is not None:
            ask.withdraw()

    def _on_exit(self, process: Process) -> None:
        error = process.exit_error("claude ended unexpectedly")
        with self._lock:
            self._end = error
            waiting, self._waiting = list(self._waiting.values()), {}
            asks, self._asks = list(self._asks.values()), {}
        for ask in asks:
            ask.withdraw()
        for on_reply in waiting:
            on_reply(Reply({}, error))
        self._owner.ended(self, error)
