"""One running turn: from the request that brings the prompt until its answer."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import CawError, ProcessError, ProviderError, TurnInterruptedError
from caw_core.events import Event, RawOutput, Retrying, StructuredDone, TurnEnded
from caw_core.inbox import Inbox
from caw_core.json_fields import mapping, objects, text
from caw_provider_opencode.client import OK, Answer, PendingCall, route
from caw_provider_opencode.commands import RunningCommands, end_groups
from caw_provider_opencode.conversations import lost
from caw_provider_opencode.decoder import TurnDecoder
from caw_provider_opencode.errors import (
    ABORTED,
    CONTENT_FILTER,
    FINISHES,
    NAME,
    OUTPUT_LENGTH,
    not_taken_up,
    retries_used_up,
    turn_error,
)
from caw_provider_opencode.requests import is_request, is_settled
from caw_provider_opencode.sse import Message
from caw_provider_opencode.steering import Spoken, later

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_provider_opencode.conversations import Conversation
    from caw_provider_opencode.desk import RequestDesk
    from caw_provider_opencode.live import LiveServer

log = logging.getLogger("caw.opencode")

_EVENTS_SECONDS: Final = 2.0
"""How long the events may lag behind the answer before the history is read instead."""

_HISTORY_SECONDS: Final = 30.0
_NO_FORM: Final = "StructuredOutputError"

_NOTHING: Final = Answer(OK, {})
"""The answer to a prompt that opencode was made to abort before it had begun with it; what it says
then is the last message of the turn before (1.18.33, observed)."""


class _Closed:
    """Put into the inbox when the session is closed."""


class _Missed:
    """Put into the inbox when events may have been lost."""


@attrs.frozen
class _Failed:
    """Put into the inbox when the prompt's request did not get an answer."""

    error: OSError | CawError


class RunningTurn:
    """Collects what other threads bring, and makes events of it in the caller's.

    Args:
        desk: settles what opencode asks.
        model: the model that was asked for, ``""`` for the default.
        keep_raw: yield each event as it came, too.
        max_retries: how often opencode may repeat a failed request; by itself it never gives up.
        stop_seconds: bounds each step of stopping.
    """

    def __init__(
        self,
        *,
        desk: RequestDesk,
        model: str,
        keep_raw: bool,
        max_retries: int,
        stop_seconds: float,
    ) -> None:
        self.over = threading.Event()
        self._desk = desk
        self._model = model
        self._keep_raw = keep_raw
        self._max_retries = max_retries
        self._stop = stop_seconds
        self._inbox: Inbox[Message | Answer | _Failed | _Missed | _Closed | ProcessError] = Inbox()
        self._lock = threading.Lock()
        self._live: LiveServer | None = None
        self._conversation: Conversation | None = None
        self._call: PendingCall | None = None
        self._interrupt_wanted = False
        self._aborting = False
        self._unanswered = 0
        self._spoken = Spoken()
        self._commands = RunningCommands()
        self._answer: Answer | None = None
        self._answered_at = 0.0
        self._given_up: ProviderError | None = None

    @property
    def started(self) -> bool:
        """Whether opencode was asked to run this turn."""
        return self._call is not None

    # --------------------------------------------------------------------- called from any thread

    def receive(self, message: Message) -> None:
        """Take an event of this turn's session or of its subagents."""
        self._spoken.receive(message)
        self._commands.receive(message)
        self._inbox.put(message)

    def missed(self) -> None:
        """Take note that events may have been lost."""
        self._inbox.put(_Missed())

    def process_ended(self, error: ProcessError) -> None:
        """Take note that opencode is gone."""
        self.over.set()
        self._inbox.put(error)

    def interrupt(self) -> None:
        """Ask opencode to end the turn; returns at once."""
        with self._lock:
            self._interrupt_wanted = True
        self._abort()

    def steer(self, body: dict[str, JSON]) -> bool:
        """Say something more; False if that came too late.

        opencode takes it up with its next call of the model, and does not end the turn before that
        (1.18.33, observed). The turn is over when every request has its answer; so if opencode had
        just come to its end, what it then does is part of the turn as well.
        """
        with self._lock:
            if self._call is None or self.over.is_set() or self._aborting:
                return False
            self._unanswered += 1
            live, conversation = self._live, self._conversation
        if live is None or conversation is None:
            return False
        path = route("session", conversation.id, "message", directory=conversation.directory)
        call = PendingCall(live.client, "POST", path, body)
        self._spoken.send(lambda: self._start(call), self._stop)
        return True

    def abandon(self) -> None:
        """Make the caller's iteration end with an error: the session is closed."""
        self._inbox.put(_Closed())
        self.over.set()
        if self._call is not None:
            self._call.cancel()

    def _abort(self) -> None:
        with self._lock:
            if self._call is None or self._aborting or self.over.is_set():
                return
            self._aborting = True
        threading.Thread(
            target=self._abort_until_over, name="caw-opencode-abort", daemon=True
        ).start()

    def _abort_until_over(self) -> None:
        # An abort that comes before opencode has begun with the prompt does nothing.
        if self._live is None or self._conversation is None:
            return
        path = route("session", self._conversation.id, "abort", directory=self._folder)
        # Before the abort, after which they are no longer running for opencode.
        groups, asked = self._commands.groups(self._live.pid), time.monotonic()
        pause = 0.25
        while not self.over.is_set():
            try:
                self._live.client.call("POST", path, timeout=self._stop)
            except (OSError, CawError) as error:
                log.warning("opencode was not reached to abort a turn: %s", error)
            self.over.wait(pause)
            pause = min(2 * pause, self._stop)
        end_groups(groups, since=asked)

    @property
    def _folder(self) -> str:
        return self._conversation.directory if self._conversation else ""

    def _start(self, call: PendingCall) -> None:
        threading.Thread(
            target=self._post, args=(call,), name="caw-opencode-prompt", daemon=True
        ).start()

    def _post(self, call: PendingCall) -> None:
        try:
            answer = call.run()
        except OSError as error:
            # The connection is gone, the turn may go on.
            self._inbox.put(_Failed(error))
        except CawError as error:
            self.over.set()
            self._inbox.put(_Failed(error))
        else:
            with self._lock:
                self._unanswered -= 1
                if not self._unanswered:
                    self.over.set()
            self._inbox.put(answer)

    # ---------------------------------------------------------------- called in the caller's thread

    def run(
        self, live: LiveServer, conversation: Conversation, body: dict[str, JSON]
    ) -> Iterator[Event]:
        """Send the prompt and yield the turn's events, the last one a `TurnEnded`.

        A body with a ``command`` has opencode run that command of its own.

        Raises:
            ProviderError: the turn failed, as precise a subclass as the facts allow.
            ConfigError: the prompt is no Unicode.
        """
        what = "command" if "command" in body else "message"
        path = route("session", conversation.id, what, directory=conversation.directory)
        decoder = TurnDecoder(
            conversation.id,
            since_ms=time.time_ns() // 1_000_000,
            servers=conversation.servers,
        )
        call = PendingCall(live.client, "POST", path, body)
        with self._lock:
            if self._interrupt_wanted:
                self.over.set()
            else:
                self._live, self._conversation, self._call = live, conversation, call
                self._unanswered = 1
        if self.over.is_set():
            yield TurnEnded(stop_reason="cancelled")
            return
        self._start(call)
        while not self._settled(decoder):
            try:
                news = self._inbox.get(timeout=self._patience())
            except queue.Empty:
                yield from self._catch_up(live, decoder)
                break
            yield from self._take(news, live, decoder)
        yield from self._finish(live, decoder, has_form="format" in body)

    def _patience(self) -> float | None:
        if self._answer is None or not self.over.is_set():
            return None
        return max(0.0, self._answered_at + _EVENTS_SECONDS - time.monotonic())

    def _settled(self, decoder: TurnDecoder) -> bool:
        """Tell whether the answer is there, and all that happened before it has been told."""
        if self._answer is None or not self.over.is_set() or not self._inbox.empty():
            return False
        if not self._answer.ok:
            return bool(decoder.error)
        if self._answer is _NOTHING:
            return True
        return decoder.is_complete(text(mapping(self._answer.data, "info"), "id"))

    def _take(
        self,
        what: Message | Answer | _Failed | _Missed | _Closed | ProcessError,
        live: LiveServer,
        decoder: TurnDecoder,
    ) -> Iterator[Event]:
        match what:
            case Message():
                yield from self._message_events(what, live, decoder)
            case Answer():
                answer = _NOTHING if decoder.is_earlier(what.data) else what
                self._answer, self._answered_at = later(self._answer, answer), time.monotonic()
            case _Missed():
                yield from self._catch_up(live, decoder)
            case _Failed(error):
                raise self._lost(error, live) from error
            case ProcessError():
                raise what.again(NAME) from what
            case _Closed():
                raise _closed()

    def _message_events(
        self, message: Message, live: LiveServer, decoder: TurnDecoder
    ) -> Iterator[Event]:
        if self._keep_raw:
            yield RawOutput(line=message.raw.decode(errors="replace"))
        if is_request(message.type):
            yield from self._settle(live, message.type, message.properties)
            return
        if is_settled(message.type):
            yield from filter(None, [self._desk.settled(text(message.properties, "requestID"))])
            return
        for event in decoder.decode(message):
            yield event
            if isinstance(event, Retrying):
                self._count_retries(decoder)

    def _count_retries(self, decoder: TurnDecoder) -> None:
        retry = decoder.retry
        if retry is not None and retry.attempt > self._max_retries and self._given_up is None:
            self._given_up = retries_used_up(retry)
            self._abort()

    def _settle(self, live: LiveServer, kind: str, request: dict[str, JSON]) -> Iterator[Event]:
        servers = self._conversation.servers if self._conversation else ()
        notice = self._desk.settle(live.client, self._folder, kind, request, servers)
        if notice is not None:
            yield notice

    def _catch_up(self, live: LiveServer, decoder: TurnDecoder) -> Iterator[Event]:
        """Yield what the history tells and the events did not, and settle what still waits."""
        try:
            histories = [self._get(live, "session", key, "message") for key in decoder.sessions]
            waiting = {kind: self._get(live, kind) for kind in ("permission", "question")}
        except (OSError, CawError) as error:
            log.warning("opencode did not give its history: %s", error)
            return
        for history in histories:
            yield from decoder.history(history)
        for kind in waiting:
            for request in objects(waiting, kind):
                if text(request, "sessionID") in decoder.sessions:
                    yield from self._settle(live, f"{kind}.asked", request)

    def _read_back(self, live: LiveServer, decoder: TurnDecoder) -> Iterator[Event]:
        """Yield what the turn's messages hold and the events have not told yet."""
        most = str(2 * decoder.spoken + 2)
        try:
            ours = self._conversation.id if self._conversation else ""
            history = self._get(live, "session", ours, "message", limit=most)
        except (OSError, CawError) as error:
            log.warning("opencode did not give its history: %s", error)
            return
        yield from decoder.history(history)

    def _get(self, live: LiveServer, *path: str, **query: str) -> JSON:
        where = route(*path, directory=self._folder, **query)
        return live.client.call("GET", where, timeout=_HISTORY_SECONDS).data

    def _lost(self, error: OSError | CawError, live: LiveServer) -> CawError:
        if isinstance(error, CawError):
            # It was never sent, or its answer made no sense.
            return error
        return _closed() if self.over.is_set() and live.running else lost(live, error)

    # --------------------------------------------------------------------------------- the end

    def _finish(self, live: LiveServer, decoder: TurnDecoder, *, has_form: bool) -> Iterator[Event]:
        answer = self._answer or Answer(0, None)
        if answer is _NOTHING and not self._interrupt_wanted and self._given_up is None:
            # Nobody stopped it, so it must not pass for a turn that somebody did.
            raise not_taken_up()
        if answer.ok:
            # Events of earlier messages may still be on their way; the answer is the last one.
            if decoder.spoken > 1:
                yield from self._read_back(live, decoder)
            yield from decoder.history([answer.data])
        info = mapping(answer.data, "info")
        error = mapping(info, "error") or ({} if answer.ok else decoder.error)
        if not answer.ok and not error:
            error = {"name": "", "data": {"message": answer.message}}
        if has_form:
            if "structured" in info:
                yield StructuredDone(value=info["structured"])
            # The core has a look at the text, and asks again.
            error = {} if text(error, "name") == _NO_FORM else error
        yield self._outcome(info, error)

    def _outcome(self, info: dict[str, JSON], error: dict[str, JSON]) -> TurnEnded:
        name, finish = text(error, "name"), text(info, "finish")
        if self._given_up is not None and (error or not finish) and not self._interrupt_wanted:
            raise self._given_up
        if name == OUTPUT_LENGTH:
            return TurnEnded(stop_reason="max_tokens")
        if name == CONTENT_FILTER:
            return TurnEnded(stop_reason="refusal")
        if not error and finish in FINISHES:
            return TurnEnded(stop_reason=FINISHES[finish])
        if self._interrupt_wanted or name == ABORTED:
            return TurnEnded(stop_reason="cancelled")
        if error:
            raise turn_error(error, model=self._model)
        # Aborted by somebody else while opencode waited before a retry, it names no error.
        return TurnEnded(stop_reason="end_turn" if finish else "cancelled")


def _closed() -> TurnInterruptedError:
    msg = "the session was closed while its turn ran"
    return TurnInterruptedError(msg, provider=NAME)
