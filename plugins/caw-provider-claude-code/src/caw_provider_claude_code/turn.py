"""One running turn: of a prompt, or one that claude began by itself, until its ``result``."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProcessError, TurnInterruptedError
from caw_core.events import Event, Notice, RawOutput, TurnEnded
from caw_core.inbox import Inbox
from caw_core.json_fields import mapping, text
from caw_provider_claude_code.content import user_line
from caw_provider_claude_code.decoder import unreadable
from caw_provider_claude_code.errors import NAME, turn_end
from caw_provider_claude_code.leftovers import boot_ticks
from caw_provider_claude_code.steering import Steering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caw_core.blocks import JSON
    from caw_core.json_lines import Line
    from caw_core.provider import Prompt
    from caw_provider_claude_code.control import Peer, Reply
    from caw_provider_claude_code.decoder import TurnDecoder


class _Sign:
    """Put into the inbox where no event is meant."""


_OVER: Final = _Sign()
"""Claude has ended the turn."""
_CLOSED: Final = _Sign()
"""The session is closed."""


class RunningTurn:
    """Makes events of what the reader's thread brings, for the caller's thread to take.

    Attributes:
        id: the ``uuid`` of our user line, which claude echoes when it takes the prompt up.
        over: set when claude has ended the turn, or itself.
        since: a moment, from `boot_ticks`, before which no tool that still runs can have begun.

    Args:
        keep_raw: yield each line as it came, too.
        live: whether claude takes messages while it runs.
    """

    def __init__(self, *, keep_raw: bool, live: bool = True) -> None:
        self.id = str(uuid.uuid4())
        self.over = threading.Event()
        self.since = boot_ticks()
        self._keep_raw = keep_raw
        self._live = live
        self._steering = Steering()
        self._inbox: Inbox[Event | ProcessError | _Sign] = Inbox()
        self._lock = threading.Lock()
        self._peer: Peer | None = None
        self._decoder: TurnDecoder | None = None
        self._interrupt_wanted = False
        self._interrupt_pending = False

    @property
    def started(self) -> bool:
        """Whether claude is at it, or was sent its prompt."""
        return self._peer is not None

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked for the end of this turn."""
        return self._interrupt_wanted

    @property
    def model(self) -> str:
        """The conversation's model, as far as this turn has shown it."""
        return self._decoder.model if self._decoder else ""

    # -------------------------------------------------------------- called in the reader's thread

    def receive(self, line: Line) -> None:
        """Take a line of the turn."""
        message = line.message or {}
        with self._lock:
            self._steering.note(message)
        decoder = self._decoding()
        self._put(line, decoder.decode(message))
        if decoder.result is not None:
            with self._lock:
                if self._steering.waiting:
                    # A message was delivered too late for the last model call, so claude goes on
                    # with it; that is still the turn into which it was said.
                    decoder.go_on()
                else:
                    self.over.set()
                    self._inbox.put(_OVER)
        elif self._interrupt_wanted and self._shows_work(message):
            # The first request came before claude had begun, or ended a turn that was another.
            self._send_interrupt()

    def overhear(self, line: Line) -> None:
        """Take a line that came between the turn before and this one."""
        self._put(line, self._decoding().overhear(line.message or {}))

    def take_back(self) -> None:
        """Take note that what was streamed so far was never of this turn."""
        for event in self._decoding().take_back():
            self._inbox.put(event)

    def end_here(self) -> None:
        """Take note that the turn has ended where another one's prompt was taken up."""
        self.over.set()
        self._inbox.put(_OVER)

    def process_ended(self, error: ProcessError) -> None:
        """Take note that claude is gone."""
        self.over.set()
        self._inbox.put(error)

    def _put(self, line: Line, events: Iterable[Event]) -> None:
        if self._keep_raw:
            self._inbox.put(RawOutput(line=line.raw.decode(errors="replace")))
        if line.message is None:
            self._inbox.put(unreadable(line.raw))
            return
        for event in events:
            self._inbox.put(event)

    def _shows_work(self, message: dict[str, JSON]) -> bool:
        if text(message, "type") == "stream_event":
            return text(mapping(message, "event"), "type") == "message_start"
        return message.get("isReplay") is True and text(message, "uuid") == self.id

    def _decoding(self) -> TurnDecoder:
        assert self._decoder is not None  # noqa: S101 - lines come only after `join`
        return self._decoder

    # --------------------------------------------------------------------- called from any thread

    def join(self, peer: Peer, decoder: TurnDecoder) -> bool:
        """Be the turn that *peer* is at, or will be; False if it was interrupted already."""
        with self._lock:
            if self._interrupt_wanted:
                self.over.set()
                return False
            self._peer, self._decoder = peer, decoder
        return True

    def declined(self, call_id: str, what: str) -> None:
        """Take note that a request for permission was answered with no.

        Args:
            call_id: the tool call that was not allowed.
            what: what it was, for a notice; ``""`` for none.
        """
        if self._decoder is not None:
            self._decoder.decline(call_id)
        if what:
            said = f"claude asked and was told no ({what})"
            self._inbox.put(Notice(message=said, level="warning"))

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
            self._take_back_line(peer, line_id)
        peer.request({"subtype": "interrupt"}, self._interrupt_answered)

    def _take_back_line(self, peer: Peer, line_id: str) -> None:
        # Claude would begin a turn with it after the one that is interrupted.
        def answered(_: Reply) -> None:
            with self._lock:
                self._steering.waiting.discard(line_id)

        peer.request({"subtype": "cancel_async_message", "message_uuid": line_id}, answered)

    def _interrupt_answered(self, _: Reply) -> None:
        with self._lock:
            self._interrupt_pending = False

    # ---------------------------------------------------------------- called in the caller's thread

    def send(self, line: dict[str, JSON]) -> None:
        """Send the prompt.

        Raises:
            ProcessError: claude is gone.
            ConfigError: the prompt is no Unicode.
        """
        peer = self._peer
        assert peer is not None  # noqa: S101 - after `join`
        try:
            if self._live:
                peer.send(line)
            else:
                peer.send_last(line)
        except ProcessError as error:
            self.over.set()
            raise error.again(NAME) from error
        except BaseException:
            self.over.set()
            raise
        if self._interrupt_wanted:
            self._send_interrupt()

    def events(self) -> Iterator[Event]:
        """Yield what happens, the last event a `TurnEnded`.

        Raises:
            ProviderError: the turn failed, as precise a subclass as the facts allow.
        """
        while (what := self._inbox.get()) is not _OVER:
            if isinstance(what, Event):
                yield what
            elif not isinstance(what, ProcessError):
                msg = "the session was closed while its turn ran"
                raise TurnInterruptedError(msg, provider=NAME)
            elif self._live or not self._interrupt_wanted:
                raise what.again(NAME) from what
            else:
                # Without the control protocol, the signal may find claude not yet listening.
                yield TurnEnded(stop_reason="cancelled")
                return
        yield from turn_end(self._decoding(), interrupted=self._interrupt_wanted)
