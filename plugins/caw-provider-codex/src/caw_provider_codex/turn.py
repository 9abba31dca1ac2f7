"""One running turn: from ``turn/start`` until codex says how it ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProcessError, ProtocolError, TurnInterruptedError
from caw_core.events import (
    Event,
    RawOutput,
    Retrying,
    TextDone,
    ToolStarted,
    TurnEnded,
)
from caw_core.inbox import Inbox
from caw_core.json_fields import mapping, text
from caw_core.json_lines import Line
from caw_provider_codex import approvals
from caw_provider_codex.answer_form import structured_answer
from caw_provider_codex.decoder import TurnDecoder, unreadable
from caw_provider_codex.errors import NAME, no_connection, refusal, turn_error
from caw_provider_codex.requests import OpenRequests
from caw_provider_codex.rpc import Reply, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.blocks import JSON
    from caw_core.permissions import PermissionDesk
    from caw_core.provider import Permissions
    from caw_provider_codex.rpc import Peer

_INTERRUPT_SECONDS: Final = 1.0
"""How long an interrupt waits for another session's large prompt to be sent first."""


class _Closed:
    """Put into the inbox when the session is closed."""


_CLOSED: Final = _Closed()


class RunningTurn:
    """Collects what the reader's thread brings, and makes events of it in the caller's.

    Args:
        model: the model that the thread was opened with.
        permissions: what approval requests are decided by.
        desk: where a person answers those that are not.
        keep_raw: yield each line as it came, too.
        network_retries: how often codex may find no connection at all before the turn fails.
    """

    def __init__(
        self,
        *,
        model: str,
        permissions: Permissions,
        desk: PermissionDesk,
        keep_raw: bool,
        network_retries: int,
    ) -> None:
        self.over = threading.Event()
        self._underway = threading.Event()
        self._decoder = TurnDecoder("", model=model)
        self._requests = OpenRequests(desk, permissions, self._explain, self.interrupt)
        self._changes: dict[str, Mapping[str, JSON]] = {}
        self._answer_text = ""
        self._keep_raw = keep_raw
        self._network_retries = network_retries
        self._inbox: Inbox[Line | Reply | ProcessError | _Closed] = Inbox()
        self._lock = threading.Lock()
        self._peer: Peer | None = None
        self._id = ""
        self._interrupt_wanted = False
        self._interrupt_sent = False
        self._closing = False

    @property
    def started(self) -> bool:
        """Whether codex was asked to run this turn."""
        return self._peer is not None

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked for the end of this turn."""
        return self._interrupt_wanted

    # --------------------------------------------------------------------- called from any thread

    def receive(self, line: Line) -> bool:
        """Take a line that belongs to this turn's thread.

        Returns:
            False for what came too late for this turn: it is over.
        """
        if self.over.is_set():
            return False
        self._inbox.put(line)
        message = line.message
        if message is not None:
            method = message.get("method")
            if method == "turn/completed":
                if self._id and text(mapping(mapping(message, "params"), "turn"), "id") == self._id:
                    self.over.set()
            elif method == "turn/started":
                self._underway.set()
                if self._interrupt_wanted:
                    self._send_interrupt()
        return True

    def process_ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that codex is gone; a process that this turn does not run in is none of its."""
        if self._peer is not peer:
            return
        self.over.set()
        self._inbox.put(error)

    def interrupt(self) -> None:
        """Ask codex to end the turn, as soon as the turn has an id."""
        with self._lock:
            self._interrupt_wanted = True
        self._send_interrupt()

    def steer(self, parts: list[JSON], seconds: float) -> bool:
        """Say something into the turn, waiting at most *seconds* for it to begin, and again.

        Returns:
            False if codex did not take it: the turn is over, or about to be.
        """
        self._underway.wait(seconds)
        if not self._id or self.over.is_set():
            return False
        return self._say(self._decoder.thread_id, self._id, parts, seconds)

    def _explain(self, thread_id: str, turn_id: str, reason: str) -> None:
        self._say(thread_id, turn_id, [{"type": "text", "text": reason}], _INTERRUPT_SECONDS)

    def _say(self, thread_id: str, turn_id: str, parts: list[JSON], seconds: float) -> bool:
        peer = self._peer
        if peer is None:
            return False
        params = {"threadId": thread_id, "expectedTurnId": turn_id, "input": parts}
        try:
            peer.call("turn/steer", params, timeout=seconds)
        except (RpcError, ProcessError, TimeoutError):
            return False
        return True

    def close(self, seconds: float) -> None:
        """End the turn, waiting at most *seconds*, and the caller's iteration with an error."""
        self._closing = True
        self.interrupt()
        if self.started:
            self.over.wait(seconds)
        self._inbox.put(_CLOSED)

    def _send_interrupt(self) -> None:
        with self._lock:
            peer = self._peer
            if peer is None or not self._id or self._interrupt_sent or self.over.is_set():
                return
            self._interrupt_sent = True
        peer.send(
            "turn/interrupt",
            {"threadId": self._decoder.thread_id, "turnId": self._id},
            self._interrupt_answered,
            wait=_INTERRUPT_SECONDS,
        )

    def _interrupt_answered(self, reply: Reply) -> None:
        if isinstance(reply.error, RpcError):
            # The turn has an id but does not run yet: ``turn/started`` brings the next chance.
            with self._lock:
                self._interrupt_sent = False

    def _started(self, reply: Reply) -> None:
        with self._lock:
            self._id = text(mapping(reply.result, "turn"), "id")
        if reply.error is not None:
            self.over.set()
        self._inbox.put(reply)
        if self._interrupt_wanted:
            self._send_interrupt()

    # ---------------------------------------------------------------- called in the caller's thread

    def decline_rest(self, peer: Peer) -> None:
        """Say no to what codex asked and nobody looked at, because the caller left."""
        self._requests.close()
        while not self._inbox.empty():
            what = self._inbox.get()
            if isinstance(what, Line) and what.message is not None and "id" in what.message:
                peer.answer(what.message["id"], approvals.answer_without_asking(what.message))

    def run(
        self,
        peer: Peer,
        thread_id: str,
        params: dict[str, JSON],
        *,
        structured: bool = False,
    ) -> Iterator[Event]:
        """Start the turn and yield its events, the last one a `TurnEnded`.

        Args:
            peer: the app-server.
            thread_id: the thread.
            params: those of ``turn/start``.
            structured: the answer is to be read as JSON, too.

        Raises:
            ProviderError: the turn failed, as precise a subclass as the facts allow.
            ConfigError: the prompt is no Unicode.
        """
        self._decoder.thread_id = thread_id
        with self._lock:
            if self._interrupt_wanted:
                self.over.set()
            else:
                self._peer = peer
        if self.over.is_set():
            if self._closing:
                raise _closed_error()
            yield TurnEnded(stop_reason="cancelled")
            return
        peer.send("turn/start", params, self._started)
        while self._decoder.outcome is None:
            yield from self._next_events(peer)
        end = self._end()
        if structured and end.stop_reason == "end_turn":
            yield from structured_answer(self._answer_text)
        yield end

    def _next_events(self, peer: Peer) -> Iterator[Event]:
        what = self._inbox.get()
        if isinstance(what, Line):
            if self._keep_raw:
                yield RawOutput(line=what.raw.decode(errors="replace"))
            yield from self._line_events(peer, what)
        elif isinstance(what, Reply):
            if isinstance(what.error, RpcError):
                raise refusal(what.error) from what.error
            if what.error is not None:
                raise what.error.again(NAME) from what.error
            if not self._id:
                msg = "codex started a turn without an id"
                raise ProtocolError(msg, provider=NAME)
            self._decoder.turn_id = self._id
        elif isinstance(what, ProcessError):
            raise what.again(NAME) from what
        else:
            raise _closed_error()

    def _line_events(self, peer: Peer, line: Line) -> Iterator[Event]:
        message = line.message
        if message is None:
            yield unreadable(line.raw)
        elif "id" in message:
            call_id = text(mapping(message, "params"), "itemId")
            yield from self._requests.take(peer, message, self._changes.get(call_id, {}))
        else:
            if message["method"] == "serverRequest/resolved":
                self._requests.resolved(mapping(message, "params"))
            for event in self._decoder.decode(message):
                yield event
                self._look_at(event)

    def _look_at(self, event: Event) -> None:
        if isinstance(event, ToolStarted) and event.name == "file_change":
            self._changes[event.call_id] = event.arguments
        elif isinstance(event, TextDone):
            self._answer_text = event.text
        self._watch_network(event)

    def _watch_network(self, event: Event) -> None:
        # codex counts its attempts, except while there is no connection at all: then it waits
        # for ever, 5 seconds at first and ever longer.
        if isinstance(event, Retrying) and not event.max_attempts:
            self._network_retries -= 1
            if self._network_retries < 0:
                raise no_connection(event.reason)

    def _end(self) -> TurnEnded:
        outcome = self._decoder.outcome
        status = outcome.status if outcome else ""
        if self._closing and status != "completed":
            raise _closed_error()
        if status == "completed":
            return TurnEnded(stop_reason="end_turn")
        if status == "interrupted":
            return TurnEnded(stop_reason="cancelled")
        if status == "failed" and outcome:
            raise turn_error(
                outcome.error,
                rate_limits=self._decoder.rate_limits,
                model=self._decoder.model,
            )
        msg = f"codex ended the turn with the unknown status {status!r}"
        raise ProtocolError(msg, provider=NAME)


def _closed_error() -> TurnInterruptedError:
    return TurnInterruptedError("the session was closed while its turn ran", provider=NAME)
