"""One running turn: from our user line until the ``result`` that ends it."""

from __future__ import annotations

import queue
import threading
import uuid
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProcessError, TurnInterruptedError
from caw_core.events import Event, Notice, RawOutput, TurnEnded
from caw_provider_claude_code.content import user_line
from caw_provider_claude_code.decoder import TurnDecoder, unreadable
from caw_provider_claude_code.errors import NAME, ended, turn_end
from caw_provider_claude_code.fields import mapping, text
from caw_provider_claude_code.leftovers import boot_ticks
from caw_provider_claude_code.lines import Line
from caw_provider_claude_code.steering import Steering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caw_core.provider import Prompt
    from caw_provider_claude_code.control import Peer, Reply
    from caw_provider_claude_code.plan import Plan
    from caw_provider_claude_code.usage import Meter


class _Closed:
    """Put into the inbox when the session is closed."""


_CLOSED: Final = _Closed()


class RunningTurn:
    """Collects what the reader's thread brings, and makes events of it in the caller's.

    Attributes:
        id: the ``uuid`` of our user line, which claude echoes when it takes the prompt up.
        over: set when claude has ended the turn, or itself.
        since: a moment, from `boot_ticks`, before which no tool that still runs can have begun.

    Args:
        plan: the conversation's plan.
        keep_raw: yield each line as it came, too.
        live: whether claude takes messages while it runs.
    """

    def __init__(self, plan: Plan, *, keep_raw: bool, live: bool = True) -> None:
        self.id = str(uuid.uuid4())
        self.over = threading.Event()
        self.since = boot_ticks()
        self._plan = plan
        self._keep_raw = keep_raw
        self._live = live
        self._steering = Steering()
        self._results_to_skip = 0
        self._inbox: queue.SimpleQueue[Line | Event | ProcessError | _Closed] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._peer: Peer | None = None
        self._decoder: TurnDecoder | None = None
        self._declined: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._taken_up = False
        self._interrupt_wanted = False
        self._interrupt_pending = False

    @property
    def started(self) -> bool:
        """Whether the prompt was sent."""
        return self._peer is not None

    def runs_in(self, peer: Peer) -> bool:
        """Tell whether the prompt was sent to *peer*, and the turn still runs there."""
        return self._peer is peer and not self.over.is_set()

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked for the end of this turn."""
        return self._interrupt_wanted

    @property
    def model(self) -> str:
        """The conversation's model, as far as this turn has shown it."""
        return self._decoder.model if self._decoder else ""

    # --------------------------------------------------------------------- called from any thread

    def receive(self, line: Line) -> None:
        """Take a line of the conversation."""
        message = line.message or {}
        at_work = False
        with self._lock:
            match text(message, "type"):
                case "stream_event":
                    at_work = text(mapping(message, "event"), "type") == "message_start"
                case "user" | "assistant":
                    at_work = message.get("isReplay") is True and text(message, "uuid") == self.id
                    self._taken_up = self._taken_up or at_work
                    self._steering.note(message)
                case "result" if self._taken_up or "origin" not in message:
                    if self._steering.waiting:
                        # A message was delivered too late for the last model call, so claude
                        # goes on with it; that is still the turn into which it was said.
                        self._results_to_skip += 1
                    else:
                        self.over.set()
        self._inbox.put(line)
        if at_work and self._interrupt_wanted:
            # The first request came before claude had begun, or ended a turn that was not ours.
            self._send_interrupt()

    def declined(self, call_id: str, what: str) -> None:
        """Take note that a request for permission was answered with no.

        Args:
            call_id: the tool call that was not allowed.
            what: what it was, for a notice; ``""`` for none.
        """
        self._declined.put(call_id)
        if what:
            said = f"claude asked and was told no ({what})"
            self._inbox.put(Notice(message=said, level="warning"))

    def process_ended(self, error: ProcessError) -> None:
        """Take note that claude is gone."""
        self.over.set()
        self._inbox.put(error)

    def interrupt(self) -> None:
        """Ask claude to end the turn."""
        with self._lock:
            self._interrupt_wanted = True
        self._send_interrupt()

    def steer(self, prompt: Prompt) -> bool:
        """Say *prompt* into the turn; False if claude would not take it up in this turn."""
        with self._lock:
            peer = self._peer
            closing = self._interrupt_wanted or self.over.is_set() or not self._live
            if peer is None or closing or not self._steering.possible:
                return False
            line_id = self._steering.add()
        try:
            peer.send(user_line(prompt, line_id))
        except ProcessError:
            with self._lock:
                self._steering.waiting.discard(line_id)
            return False
        return True

    def abandon(self) -> None:
        """Make the caller's iteration end with an error: the session is closed."""
        self._inbox.put(_CLOSED)

    def _send_interrupt(self) -> None:
        with self._lock:
            peer = self._peer
            if peer is None or self._interrupt_pending or self.over.is_set():
                return
            self._interrupt_pending = True
            waiting = list(self._steering.waiting)
        if not self._live:
            peer.signal_interrupt()
            return
        for line_id in waiting:
            self._take_back(peer, line_id)
        peer.request({"subtype": "interrupt"}, self._interrupt_answered)

    def _take_back(self, peer: Peer, line_id: str) -> None:
        # Claude would begin a turn with it after the one that is interrupted.
        def answered(_: Reply) -> None:
            with self._lock:
                self._steering.waiting.discard(line_id)

        peer.request({"subtype": "cancel_async_message", "message_uuid": line_id}, answered)

    def _interrupt_answered(self, _: Reply) -> None:
        with self._lock:
            self._interrupt_pending = False

    # ---------------------------------------------------------------- called in the caller's thread

    def run(
        self,
        peer: Peer,
        prompt: Prompt,
        *,
        late: Iterable[Line],
        meter: Meter,
        model: str,
        at_work: bool,
    ) -> Iterator[Event]:
        """Send the prompt and yield what happens, the last event a `TurnEnded`.

        Args:
            peer: the running claude.
            prompt: what is sent.
            late: what claude said since the last turn.
            meter: the process's counts.
            model: the conversation's model, as far as it is known.
            at_work: whether claude works without a prompt at the moment.

        Raises:
            ProviderError: the turn failed, as precise a subclass as the facts allow.
            ConfigError: the prompt is no Unicode.
            UnsupportedError: claude cannot be given one of its attachments.
        """
        line = user_line(prompt, self.id)
        between = TurnDecoder("", meter=meter, plan=self._plan, model=model, at_work=True)
        for said in late:
            yield from self._line_events(between, said)
        self._decoder = decoder = TurnDecoder(
            self.id, meter=meter, plan=self._plan, model=between.model, at_work=at_work
        )
        with self._lock:
            if self._interrupt_wanted:
                self.over.set()
            else:
                self._peer = peer
        if self.over.is_set():
            yield TurnEnded(stop_reason="cancelled")
            return
        try:
            if self._live:
                peer.send(line)
            else:
                peer.send_last(line)
        except ProcessError as error:
            self.over.set()
            raise ended(error) from error
        except BaseException:
            self.over.set()
            raise
        if self._interrupt_wanted:
            self._send_interrupt()
        yield from self._follow(decoder)

    def _follow(self, decoder: TurnDecoder) -> Iterator[Event]:
        while decoder.result is None:
            try:
                yield from self._next_events(decoder)
            except ProcessError:
                # Without the control protocol, the signal may find claude not yet listening.
                if self._live or not self._interrupt_wanted:
                    raise
                yield TurnEnded(stop_reason="cancelled")
                return
        yield from turn_end(decoder, interrupted=self._interrupt_wanted)

    def _next_events(self, decoder: TurnDecoder) -> Iterator[Event]:
        what = self._inbox.get()
        if isinstance(what, Line):
            while not self._declined.empty():
                decoder.decline(self._declined.get())
            yield from self._line_events(decoder, what)
            if decoder.result is not None and self._results_to_skip:
                self._results_to_skip -= 1
                decoder.go_on()
        elif isinstance(what, Event):
            yield what
        elif isinstance(what, ProcessError):
            raise ended(what) from what
        else:
            msg = "the session was closed while its turn ran"
            raise TurnInterruptedError(msg, provider=NAME)

    def _line_events(self, decoder: TurnDecoder, line: Line) -> Iterator[Event]:
        if self._keep_raw:
            yield RawOutput(line=line.raw.decode(errors="replace"))
        if line.message is None:
            yield unreadable(line.raw)
        else:
            yield from decoder.decode(line.message)
