"""A conversation with opencode: one of its sessions, in a shared server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.deadlines import Deadline
from caw_core.errors import (
    CawError,
    ProtocolError,
    SessionBusyError,
    SessionStateError,
    UnsupportedError,
)
from caw_core.events import Event, Notice
from caw_core.json_fields import mapping, objects, text
from caw_core.locks import ConversationLock
from caw_provider_opencode import inputs
from caw_provider_opencode.client import route
from caw_provider_opencode.conversations import Opener, lost
from caw_provider_opencode.desk import RequestDesk
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.models import effort_notice, model_infos, model_of
from caw_provider_opencode.requests import is_request
from caw_provider_opencode.tool_servers import given
from caw_provider_opencode.turn import RunningTurn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_core.errors import ProcessError
    from caw_core.provider import ModelInfo, Prompt, StartRequest
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
        self._launch = launch
        self._request = request
        self._stop = request.deadlines.stop
        self._desk = RequestDesk(
            request.permissions, request.permission_desk, self._stop, self.interrupt
        )
        self._lock = threading.Lock()
        self._turn: RunningTurn | None = None
        self._notices: list[str] = []
        self._conversation: Conversation | None = None
        self._live: LiveServer | None = None
        self._right: ConversationLock | None = None
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

    def open(self, session_id: str | None = None, forked: Conversation | None = None) -> None:
        """Open a new session, the one that *session_id* names, or a copy of *forked*."""
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        live = self._server.live(deadline, self._stop)
        opener = self._opener(live, deadline)
        if session_id is None:
            conversation = opener.fork(forked.id, forked.agent) if forked else opener.start()
            self._right = ConversationLock(NAME, conversation.id)
        else:
            opener.find(session_id)
            self._right = ConversationLock(NAME, session_id)
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
            body = self._command(conversation, prompt) or self._body(conversation, prompt)
            yield from turn.run(live, conversation, body)
        finally:
            self._finish(turn)

    def interrupt(self) -> None:
        """Make the running turn end soon; nothing happens when none runs."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.interrupt()
        self._desk.withdraw_all()

    def steer(self, prompt: Prompt) -> bool:
        """Say *prompt* into the running turn; see `caw_core.provider.SteerableSession`."""
        with self._lock:
            turn = self._turn
        if turn is None or self._conversation is None:
            return False
        return turn.steer(self._body(self._conversation, prompt))

    def fork(self, request: StartRequest) -> OpencodeSession:
        """Open a copy of this conversation; see `caw_core.provider.ForkableSession`."""
        _, conversation = self._opened()
        # All processes of one launch keep their sessions in the same place.
        launch = attrs.evolve(self._launch, servers=given(request.mcp_servers))
        session = OpencodeSession(self._pool, launch, request)
        return _opened_or_closed(session, forked=conversation)

    def models(self) -> list[ModelInfo]:
        """Return the models; see `caw_core.provider.ModelChoosingSession`."""
        default = text(self._get("config"), "model")
        return model_infos(self._get("config", "providers"), default)

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model; see `caw_core.provider.ModelChoosingSession`.

        Raises:
            ConfigError: the name does not say which service the model belongs to.
        """
        chosen = model_of(model)
        self._request = attrs.evolve(
            self._request,
            model=model or self._request.model,
            reasoning=reasoning or self._request.reasoning,
        )
        self._model = chosen or self._model
        if self._request.model and self._request.reasoning:
            providers = self._get("config", "providers")
            notice = effort_notice(providers, self._request.model, self._request.reasoning)
            self._notices += filter(None, [notice])

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
            self._pool.leave(self._launch, self._stop)
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
        self._desk.withdraw_all()

    def _body(self, conversation: Conversation, prompt: Prompt) -> dict[str, JSON]:
        body: dict[str, JSON] = {
            "agent": conversation.agent,
            "parts": inputs.message_parts(prompt, conversation.directory),
            **self._model,
        }
        if prompt.output_schema is not None:
            schema = dict(prompt.output_schema)
            # opencode does not ask again itself (1.18.33, observed); the core does.
            body["format"] = {"type": "json_schema", "schema": schema, "retryCount": 0}
        if self._request.system_prompt:
            # opencode does not keep it: it holds for the request that it comes with.
            body["system"] = self._request.system_prompt
        if self._request.reasoning:
            body["variant"] = self._request.reasoning
        return body

    def _command(self, conversation: Conversation, prompt: Prompt) -> dict[str, JSON] | None:
        """Return the body that runs the command of opencode's that *prompt* names, if it does."""
        command = inputs.command_of(prompt)
        if command is None:
            return None
        known = objects({"commands": self._get("command")}, "commands")
        if command[0] not in [text(entry, "name") for entry in known]:
            return None
        if self._request.system_prompt or prompt.output_schema is not None:
            msg = "opencode runs no command with a system prompt or an answer's form of ours"
            raise UnsupportedError(msg, provider=NAME, options=("commands",))
        body: dict[str, JSON] = {
            "agent": conversation.agent,
            "command": command[0],
            "arguments": command[1],
            "parts": inputs.file_parts(prompt.attachments),
        }
        if self._request.model:
            body["model"] = self._request.model
        if self._request.reasoning:
            body["variant"] = self._request.reasoning
        return body

    def _get(self, *path: str) -> JSON:
        live, conversation = self._opened()
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        try:
            where = route(*path, directory=conversation.directory)
            answer = live.client.call("GET", where, timeout=deadline.left)
        except CawError:
            raise
        except TimeoutError as error:
            raise deadline.error(f"opencode did not answer GET {where}.") from error
        except OSError as error:
            raise lost(live, error) from error
        if not answer.ok:
            msg = f"opencode did not answer: {answer.message}"
            raise ProtocolError(msg, provider=NAME)
        return answer.data

    # ------------------------------------------------------------------------------- the process

    def _opened(self) -> tuple[LiveServer, Conversation]:
        if self._live is None or self._conversation is None:
            msg = "the opencode session was never opened"
            raise SessionStateError(msg)
        return self._live, self._conversation

    def _opener(self, live: LiveServer, deadline: Deadline) -> Opener:
        return Opener(live, self._request, dict(self._launch.env), deadline)

    def _use(self, live: LiveServer, conversation: Conversation) -> None:
        self._live, self._conversation = live, conversation
        self._notices += conversation.notices
        live.subscribe(conversation.id, self)

    def _reopen(self) -> Iterator[Event]:
        """Make sure that a server runs; it may have crashed. It needs no more than that."""
        live, conversation = self._opened()
        if live.running:
            return
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        live = self._server.live(deadline, self._stop)
        conversation = self._opener(live, deadline).resume(conversation.id)
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
    return _opened_or_closed(OpencodeSession(pool, launch, request), session_id)


def _opened_or_closed(
    session: OpencodeSession,
    session_id: str | None = None,
    forked: Conversation | None = None,
) -> OpencodeSession:
    try:
        session.open(session_id, forked)
    except BaseException:
        session.close()
        raise
    return session
