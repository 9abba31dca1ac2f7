"""A conversation with opencode: one of its sessions, in a shared server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from caw_core.errors import SessionBusyError, SessionStateError
from caw_core.events import Event, Notice
from caw_provider_opencode.conversations import Opener, model_of
from caw_provider_opencode.desk import RequestDesk
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.fields import mapping, text
from caw_provider_opencode.lock import SessionLock
from caw_provider_opencode.permissions import is_request
from caw_provider_opencode.server import Deadline
from caw_provider_opencode.turn import RunningTurn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_core.errors import ProcessError
    from caw_core.provider import Prompt, StartRequest
    from caw_provider_opencode.conversations import Conversation
    from caw_provider_opencode.live import LiveServer
    from caw_provider_opencode.server import Launch, ServerPool, SharedServer
    from caw_provider_opencode.sse import Message

MAX_RETRIES: Final = 10


class OpencodeSession:
    """One of opencode's sessions. Made by `open_session`; the methods are those of the contract.

    Args:
        pool: the provider's servers.
        launch: which of them to use.
        request: what was asked for.
    """

    def __init__(self, pool: ServerPool, launch: Launch, request: StartRequest) -> None:
        self._model = model_of(request.model)
        self._pool = pool
        self._env = dict(launch.env)
        self._request = request
        self._stop = request.deadlines.stop
        self._desk = RequestDesk(request.permissions, self._stop)
        self._lock = threading.Lock()
        self._turn: RunningTurn | None = None
        self._notices: list[str] = []
        self._conversation: Conversation | None = None
        self._live: LiveServer | None = None
        self._right: SessionLock | None = None
        self._closed = False
        self._gone = threading.Event()
        self._server: SharedServer = pool.enter(launch)

    @property
    def resume_key(self) -> str | None:
        """Opencode's id of the session."""
        return self._conversation.id if self._conversation else None

    @property
    def pid(self) -> int | None:
        """The process id of the server."""
        return self._live.pid if self._live else None

    def open(self, session_id: str | None = None) -> None:
        """Open a new session, or the one that *session_id* names."""
        deadline = Deadline("start", self._request.deadlines.start)
        live = self._server.live(deadline, self._stop)
        opener = Opener(live, self._request, self._env, deadline)
        if session_id is None:
            conversation = opener.start()
            self._right = SessionLock(NAME, conversation.id)
        else:
            opener.find(session_id)
            self._right = SessionLock(NAME, session_id)
            conversation = opener.resume(session_id)
        self._use(live, conversation)

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        turn = self._begin()
        try:
            yield from self._reopen()
            for notice in self._notices:
                yield Notice(message=notice, level="warning")
            self._notices.clear()
            live, conversation = self._opened()
            yield from turn.run(live, conversation, self._body(conversation, prompt))
        finally:
            self._finish(turn)

    def interrupt(self) -> None:
        """Make the running turn end soon; nothing happens when none runs."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.interrupt()

    def close(self) -> None:
        """Abort what runs and let go of the session; the last one ends the process."""
        with self._lock:
            first = not self._closed
            self._closed = True
            turn = self._turn
        if not first:
            self._gone.wait(8 * self._stop)
            return
        try:
            if turn is not None:
                # Ending the server alone would leave the shell commands of its sessions behind.
                turn.interrupt()
                turn.over.wait(self._stop)
                turn.abandon()
            if self._live is not None:
                self._live.unsubscribe(self)
        finally:
            self._pool.leave(self._server, self._stop)
            if self._right is not None:
                self._right.release()
            self._gone.set()

    # -------------------------------------------------------------- called in the reader's thread

    def receive(self, message: Message) -> None:
        """Take an event of this session; see `caw_provider_opencode.live.Sink`."""
        self._adopt_subagent(message)
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.receive(message)
        elif is_request(message.type):
            threading.Thread(target=self._settle, args=(message,), daemon=True).start()

    def missed(self) -> None:
        """Take note that events may have been lost; see `caw_provider_opencode.live.Sink`."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.missed()

    def ended(self, error: ProcessError) -> None:
        """Take note that the server is gone; see `caw_provider_opencode.live.Sink`."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.process_ended(error)

    def _adopt_subagent(self, message: Message) -> None:
        # A subagent that is asked again has a session already, so none is created for it.
        part = mapping(message.properties, "part")
        if text(part, "tool") == "task" and self._live is not None:
            child = text(mapping(mapping(part, "state"), "metadata"), "sessionId")
            if child and child != self.resume_key:
                self._live.subscribe(child, self)

    def _settle(self, message: Message) -> None:
        live, conversation = self._opened()
        self._desk.settle(live.client, conversation.directory, message.type, message.properties)

    # ---------------------------------------------------------------------------------- one turn

    def _begin(self) -> RunningTurn:
        turn = RunningTurn(
            desk=self._desk,
            model=self._request.model or "",
            keep_raw=self._request.keep_raw,
            max_retries=int(self._request.options.get("max_retries", MAX_RETRIES)),
            stop_seconds=self._stop,
        )
        with self._lock:
            if self._closed:
                msg = "the opencode session is closed"
                raise SessionStateError(msg)
            if self._turn is not None:
                msg = "a turn of this opencode session still runs"
                raise SessionBusyError(msg, holder="this process")
            self._turn = turn
        return turn

    def _finish(self, turn: RunningTurn) -> None:
        if turn.started and not turn.over.is_set():
            # The caller left the iteration, or we gave up on a turn that opencode goes on with.
            turn.interrupt()
            turn.over.wait(self._stop)
            turn.abandon()
        with self._lock:
            self._turn = None

    def _body(self, conversation: Conversation, prompt: Prompt) -> dict[str, JSON]:
        body: dict[str, JSON] = {
            "agent": conversation.agent,
            "parts": [{"type": "text", "text": prompt.text}],
            **self._model,
        }
        if self._request.system_prompt:
            # opencode does not keep it: it holds for the request that it comes with.
            body["system"] = self._request.system_prompt
        if self._request.reasoning:
            body["variant"] = self._request.reasoning
        return body

    # ------------------------------------------------------------------------------- the process

    def _opened(self) -> tuple[LiveServer, Conversation]:
        if self._live is None or self._conversation is None:
            msg = "the opencode session was never opened"
            raise SessionStateError(msg)
        return self._live, self._conversation

    def _use(self, live: LiveServer, conversation: Conversation) -> None:
        self._live, self._conversation = live, conversation
        self._notices += conversation.notices
        live.subscribe(conversation.id, self)

    def _reopen(self) -> Iterator[Event]:
        """Make sure that a server runs; it may have crashed. It needs no more than that."""
        live, conversation = self._opened()
        if live.running:
            return
        deadline = Deadline("start", self._request.deadlines.start)
        live = self._server.live(deadline, self._stop)
        conversation = Opener(live, self._request, self._env, deadline).resume(conversation.id)
        self._notices.clear()
        self._use(live, conversation)
        yield Notice(
            message="opencode had ended; it was started again and the conversation was resumed",
            level="warning",
        )


def open_session(
    pool: ServerPool, launch: Launch, request: StartRequest, session_id: str | None = None
) -> OpencodeSession:
    """Open a session, a new one or an existing one.

    Raises:
        ConfigError: the model or the agent cannot be meant.
        ProviderError: opencode could not be started, refused, or did not answer in time.
        NotResumableError: opencode does not have the session.
        SessionBusyError: another process of caw's, or another session, has it open.
    """
    session = OpencodeSession(pool, launch, request)
    try:
        session.open(session_id)
    except BaseException:
        session.close()
        raise
    return session
