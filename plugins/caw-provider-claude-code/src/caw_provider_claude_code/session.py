"""A conversation with claude: one process, kept alive between turns."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

from caw_core.errors import (
    CawError,
    ProcessError,
    ProtocolError,
    SessionBusyError,
    SessionStateError,
)
from caw_core.events import Event, Notice
from caw_provider_claude_code import permissions
from caw_provider_claude_code.control import Ask, ControlError, Peer
from caw_provider_claude_code.errors import NAME, gone, start_failure
from caw_provider_claude_code.fields import mapping, text
from caw_provider_claude_code.launch import (
    START_SLOTS,
    Deadline,
    Launch,
    check_greeting,
    prepare,
)
from caw_provider_claude_code.leftovers import end_leftovers
from caw_provider_claude_code.lock import ConversationLock
from caw_provider_claude_code.plan import Plan
from caw_provider_claude_code.transcripts import conversation_id, resume_argument, transcripts
from caw_provider_claude_code.turn import RunningTurn
from caw_provider_claude_code.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_core.provider import Prompt, StartRequest
    from caw_provider_claude_code.lines import Line

_LATE_LINES: Final = 256


class ClaudeCodeSession:
    """One conversation. Made by `open_session`; the methods are those of the contract.

    Args:
        launch: how to start claude.
        request: what was asked for.
    """

    def __init__(self, launch: Launch, request: StartRequest) -> None:
        self._launch = launch
        self._request = request
        self._stop = request.deadlines.stop
        self._lock = threading.Lock()
        self._turn: RunningTurn | None = None
        self._late: deque[Line] = deque(maxlen=_LATE_LINES)
        self._notices: deque[str] = deque(maxlen=_LATE_LINES)
        self._plan = Plan()
        self._meter = Meter()
        self._model = ""
        self._key = ""
        self._kept = False
        self._hold: ConversationLock | None = None
        self._peer: Peer | None = None
        self._last_words: dict[str, JSON] = {}
        self._at_work = False
        self._background: set[str] = set()
        self._closed = False
        self._gone = threading.Event()

    @property
    def resume_key(self) -> str | None:
        """Claude's id of the conversation; None until claude has one to come back to."""
        return self._key if self._kept else None

    @property
    def pid(self) -> int | None:
        """The process id of the running claude."""
        return self._peer.pid if self._peer else None

    def open(self, key: str | None = None) -> None:
        """Open a new conversation, or the one that *key* names."""
        if key is None:
            self._key = self._new_id()
        else:
            checked = conversation_id(key)
            if checked is None:
                raise gone("that is no id of claude's")
            self._key, self._kept = checked, True
        self._hold = ConversationLock.take(self._key)
        self._start()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        turn = self._begin()
        try:
            yield from self._reopen()
            yield from turn.run(
                self._running(),
                prompt.text,
                late=self._take_late(),
                at_work=self._at_work,
                meter=self._meter,
                model=self._model,
            )
        finally:
            self._finish(turn)

    def interrupt(self) -> None:
        """Make the running turn end soon; nothing happens when none runs."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.interrupt()

    def close(self) -> None:
        """Interrupt what runs, then end the process and all that it started."""
        with self._lock:
            first = not self._closed
            self._closed = True
            turn = self._turn
        if not first:
            self._gone.wait(8 * self._stop)
            return
        try:
            if turn is not None:
                turn.interrupt()
                if turn.started:
                    turn.over.wait(self._stop)
                turn.abandon()
            if self._peer is not None:
                self._peer.stop(self._stop)
        finally:
            if self._hold is not None:
                self._hold.release()
            self._gone.set()

    # -------------------------------------------------------------- called in the reader's thread

    def receive(self, peer: Peer, line: Line) -> None:
        """Take a line of the conversation; see `caw_provider_claude_code.control.Owner`."""
        message = line.message or {}
        kind = text(message, "type")
        if kind == "system" and text(message, "subtype") == "init":
            self._key = text(message, "session_id") or self._key
            self._kept = self._at_work = True
        elif kind == "system" and text(message, "subtype") == "task_notification":
            self._at_work = True
        elif kind == "result":
            self._last_words = message
            self._at_work = False
        elif task := text(mapping(message, "tool_use_result"), "backgroundTaskId"):
            self._background.add(task)
        with self._lock:
            turn = self._turn if self._turn and self._turn.runs_in(peer) else None
            if turn is None and kind != "stream_event":
                # Only the last of it: a background task may go on for hours.
                self._late.append(line)
        if turn is not None:
            turn.receive(line)

    def asked(self, peer: Peer, ask: Ask) -> None:
        """Answer a request of claude's; see `caw_provider_claude_code.control.Owner`."""
        denied = permissions.answer(ask)
        if not denied:
            return
        with self._lock:
            turn = self._turn if self._turn and self._turn.runs_in(peer) else None
            if turn is None:
                self._notices.append(f"claude asked between two prompts and was told no ({denied})")
        if turn is not None:
            turn.declined(text(ask.request, "tool_use_id"), denied)

    def ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that claude is gone; see `caw_provider_claude_code.control.Owner`."""
        with self._lock:
            turn = self._turn
        if turn is not None and turn.runs_in(peer):
            turn.process_ended(error)

    # ---------------------------------------------------------------------------------- one turn

    def _begin(self) -> RunningTurn:
        turn = RunningTurn(self._plan, keep_raw=self._request.keep_raw)
        with self._lock:
            if self._closed:
                msg = "the claude session is closed"
                raise SessionStateError(msg)
            if self._turn is not None:
                msg = "a turn of this claude session still runs"
                raise SessionBusyError(msg, holder="this process")
            self._turn = turn
        return turn

    def _finish(self, turn: RunningTurn) -> None:
        peer = self._running()
        if turn.started and not turn.over.is_set():
            # The caller left the iteration, or we gave up on a turn that claude goes on with.
            turn.interrupt()
            if not turn.over.wait(self._stop):
                # What it still says could be taken for the answer to the next prompt.
                peer.stop(self._stop)
        self._model = turn.model or self._model
        if turn.started and turn.interrupted and peer.running:
            end_leftovers(
                self._launch.mark, peer.pid, since=turn.since, background=self._background
            )
        with self._lock:
            self._turn = None

    def _take_late(self) -> list[Line]:
        with self._lock:
            lines, self._late = list(self._late), deque(maxlen=_LATE_LINES)
        return lines

    # ------------------------------------------------------------------------------- the process

    def _new_id(self) -> str:
        wanted = conversation_id(self._request.session_id)
        if wanted is not None and not transcripts(self._launch.env, wanted):
            return wanted
        return str(uuid.uuid4())

    def _running(self) -> Peer:
        if self._peer is None:
            msg = "the claude session was never opened"
            raise SessionStateError(msg)
        return self._peer

    def _reopen(self) -> Iterator[Event]:
        """Make sure that claude runs; it may have crashed."""
        if not self._running().running:
            self._start()
            yield Notice(
                message="claude had ended; it was started again and the conversation was resumed",
                level="warning",
            )
        while self._notices:
            yield Notice(message=self._notices.popleft(), level="warning")

    def _conversation(self) -> str:
        if self._kept:
            return f"--resume={resume_argument(self._launch.env, self._key, self._launch.cwd)}"
        # Claude writes a conversation down with its first prompt; until then it has none.
        return f"--session-id={self._key}"

    def _start(self) -> None:
        deadline = Deadline("start", self._request.deadlines.start)
        left = deadline.left
        if not START_SLOTS.acquire(timeout=-1 if left is None else left):
            raise deadline.error("Other sessions were still starting.")
        try:
            self._last_words = {}
            self._at_work = False
            self._meter = Meter()
            peer = Peer(
                self._launch.argv(self._conversation()),
                cwd=self._launch.cwd,
                env=self._launch.env,
                owner=self,
            )
            try:
                greeting = dict(self._launch.greeting)
                check_greeting(peer.call(greeting, timeout=deadline.left), self._request)
            except BaseException as error:
                peer.stop(self._stop)
                raise self._explain(error, deadline) from error
        finally:
            START_SLOTS.release()
        with self._lock:
            closed = self._closed
            if not closed:
                self._peer = peer
        if closed:
            peer.stop(self._stop)
            msg = "the claude session was closed while claude was starting"
            raise SessionStateError(msg)

    def _explain(self, error: BaseException, deadline: Deadline) -> BaseException:
        if isinstance(error, ControlError):
            return ProtocolError(f"claude refused the handshake: {error}", provider=NAME)
        if isinstance(error, ProcessError):
            return start_failure(error, self._last_words)
        if isinstance(error, TimeoutError) and not isinstance(error, CawError):
            return deadline.error("claude did not answer the handshake.")
        return error


def open_session(request: StartRequest, key: str | None = None) -> ClaudeCodeSession:
    """Open a session, with a new conversation or with an existing one.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        ProviderError: claude could not be started, refused, or did not answer in time.
        NotResumableError: claude does not have the conversation.
        SessionBusyError: another session of caw has it open.
    """
    session = ClaudeCodeSession(prepare(request), request)
    try:
        session.open(key)
    except BaseException:
        session.close()
        raise
    return session
