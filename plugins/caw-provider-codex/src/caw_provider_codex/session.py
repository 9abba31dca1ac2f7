"""A conversation with codex: one thread in a shared app-server."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.deadlines import Deadline
from caw_core.errors import (
    NotResumableError,
    ProcessError,
    SessionBusyError,
    SessionStateError,
)
from caw_core.events import Event, Notice, RawOutput
from caw_core.json_fields import mapping, strings, text
from caw_core.process import kill_marked, new_marker
from caw_provider_codex.answer_form import asked_in_words, strict_schema
from caw_provider_codex.configuration import MARK
from caw_provider_codex.decoder import TurnDecoder, unreadable
from caw_provider_codex.errors import NAME, refusal
from caw_provider_codex.inputs import user_input
from caw_provider_codex.models import list_models
from caw_provider_codex.rpc import RpcError
from caw_provider_codex.threads import (
    fork_thread,
    resume_thread,
    start_thread,
    turn_settings,
    unload_thread,
)
from caw_provider_codex.turn import RunningTurn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import JSON
    from caw_core.json_lines import Line
    from caw_core.provider import ModelInfo, Prompt, StartRequest
    from caw_provider_codex.rpc import Peer
    from caw_provider_codex.server import AppServer, Launch, ServerPool
    from caw_provider_codex.threads import Thread

log = logging.getLogger("caw.codex")

NETWORK_RETRIES: Final = 5
_LIST_SECONDS: Final = 10.0
_LATE_LINES: Final = 256


class CodexSession:
    """One thread. Made by `open_session`; the methods are those of the contract.

    Args:
        pool: the provider's app-servers.
        launch: which of them to use.
        request: what was asked for.
    """

    def __init__(self, pool: ServerPool, launch: Launch, request: StartRequest) -> None:
        self._pool = pool
        self._launch = launch
        self._request = request
        self._stop = request.deadlines.stop
        self._lock = threading.Lock()
        self._turn: RunningTurn | None = None
        self._late: deque[Line] = deque(maxlen=_LATE_LINES)
        self._notices: list[str] = []
        self._thread: Thread | None = None
        self._peer: Peer | None = None
        self._prompted = False
        self._closed = False
        self._gone = threading.Event()
        self._mark = new_marker()
        self._server: AppServer = pool.enter(launch)

    @property
    def resume_key(self) -> str | None:
        """Codex's thread id."""
        return self._thread.id if self._thread else None

    @property
    def pid(self) -> int | None:
        """The process id of the app-server that has the thread open."""
        return self._peer.pid if self._peer else None

    def open(self, thread_id: str | None = None, *, fork_of: str | None = None) -> None:
        """Open a new thread, the one that *thread_id* names, or a copy of *fork_of*."""
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        peer = self._server.peer(deadline, self._stop)
        if fork_of is not None:
            thread = fork_thread(peer, self._request, fork_of, self._mark, self, deadline)
            self._prompted = True
        elif thread_id is None:
            thread = start_thread(peer, self._request, self._mark, self, deadline)
        else:
            thread = resume_thread(peer, self._request, thread_id, self._mark, self, deadline)
            self._prompted = True
        self._use(peer, thread)

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        form = prompt.output_schema
        schema = strict_schema(form) if form is not None else None
        in_words = asked_in_words(form) if form is not None and schema is None else ""
        params: dict[str, JSON] = {"input": user_input(prompt, more=in_words)}
        if schema is not None:
            params["outputSchema"] = schema
        turn = self._begin()
        try:
            yield from self._reopen()
            yield from self._late_events()
            peer, thread = self._opened()
            self._prompted = True
            params |= {"threadId": thread.id, **turn_settings(self._request, thread)}
            yield from turn.run(peer, thread.id, params, structured=form is not None)
        finally:
            self._finish(turn)

    def interrupt(self) -> None:
        """Make the running turn end soon; nothing happens when none runs."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.interrupt()

    def steer(self, prompt: Prompt) -> bool:
        """Say *prompt* into the running turn; False if it came too late, or none runs."""
        parts = user_input(prompt)
        with self._lock:
            turn = self._turn
        return turn is not None and turn.steer(parts, self._stop)

    def fork(self, request: StartRequest) -> CodexSession:
        """Open a session of its own that begins with this one's history.

        It uses the same process. Raises as `open_session` does.
        """
        child = CodexSession(self._pool, self._launch, request)
        try:
            # codex writes a thread down with its first turn; before, there is nothing to copy.
            child.open(fork_of=self.resume_key if self._prompted else None)
        except BaseException:
            child.close()
            raise
        return child

    def models(self) -> list[ModelInfo]:
        """Return the models of codex's own list; nothing is spent.

        Raises:
            ProviderError: codex did not say.
        """
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        peer = self._server.peer(deadline, self._stop)
        try:
            return list_models(peer, _LIST_SECONDS)
        except RpcError as error:
            raise refusal(error) from error
        except ProcessError as error:
            raise error.again(NAME) from error
        except TimeoutError as error:
            raise Deadline("start", _LIST_SECONDS, provider=NAME).error(str(error)) from error

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model or effort from the next turn on, also after a crash of codex."""
        _, thread = self._opened()
        self._request = attrs.evolve(
            self._request,
            model=model or self._request.model,
            reasoning=reasoning or self._request.reasoning,
        )
        self._thread = attrs.evolve(
            thread, model=model or thread.model, effort=reasoning or thread.effort
        )

    def close(self) -> None:
        """Interrupt what runs and let go of the thread; the last session ends the process."""
        with self._lock:
            first = not self._closed
            self._closed = True
            turn = self._turn
        if not first:
            self._gone.wait(8 * self._stop)
            return
        try:
            if turn is not None:
                turn.close(self._stop)
            peer, thread = self._peer, self._thread
            if peer is not None and thread is not None:
                if peer.running and self._pool.is_shared(self._launch):
                    unload_thread(peer, thread.id, self._stop)
                    kill_marked(self._mark, variable=MARK)
                peer.unsubscribe(self)
        finally:
            self._pool.leave(self._launch, self._stop)
            self._gone.set()

    # -------------------------------------------------------------- called in the reader's thread

    def receive(self, line: Line) -> bool:
        """Take what codex says about this thread; see `caw_provider_codex.rpc.Sink`."""
        self._adopt_subagents(line)
        with self._lock:
            turn = self._turn
        if turn is not None and turn.receive(line):
            return True
        if line.message is None or "id" not in line.message:
            # Only the last of it: a command in the background may write for hours.
            with self._lock:
                self._late.append(line)
        return False

    def ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that the app-server is gone; see `caw_provider_codex.rpc.Sink`."""
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.process_ended(peer, error)

    def _adopt_subagents(self, line: Line) -> None:
        item = mapping(mapping(line.message, "params"), "item")
        peer = self._peer
        if text(item, "type") != "collabAgentToolCall" or peer is None:
            return
        for thread_id in strings(item, "receiverThreadIds"):
            peer.subscribe(thread_id, self)

    # ---------------------------------------------------------------------------------- one turn

    def _begin(self) -> RunningTurn:
        turn = RunningTurn(
            model=self._opened()[1].model,
            permissions=self._request.permissions,
            desk=self._request.permission_desk,
            keep_raw=self._request.keep_raw,
            network_retries=self._request.options.get("network_retries", NETWORK_RETRIES),
        )
        with self._lock:
            if self._closed:
                msg = "the codex session is closed"
                raise SessionStateError(msg)
            if self._turn is not None:
                msg = "a turn of this codex session still runs"
                raise SessionBusyError(msg, holder="this process")
            self._turn = turn
        return turn

    def _finish(self, turn: RunningTurn) -> None:
        peer, thread = self._opened()
        if turn.started and not turn.over.is_set():
            # The caller left the iteration, or we gave up on a turn that codex goes on with.
            turn.interrupt()
            turn.over.wait(self._stop)
        with self._lock:
            self._turn = None
        turn.decline_rest(peer)
        if turn.interrupted and peer.running:
            self._end_commands(peer, thread)

    def _end_commands(self, peer: Peer, thread: Thread) -> None:
        # Interrupting a turn leaves its shell command running.
        try:
            peer.call(
                "thread/backgroundTerminals/clean",
                {"threadId": thread.id},
                timeout=self._stop,
            )
        except (RpcError, ProcessError, TimeoutError) as error:
            log.debug("codex did not end its commands: %s", error)
        kill_marked(self._mark, variable=MARK)

    def _late_events(self) -> Iterator[Event]:
        with self._lock:
            lines, self._late = self._late, deque(maxlen=_LATE_LINES)
        for notice in self._notices:
            yield Notice(message=notice, level="warning")
        self._notices.clear()
        decoder = TurnDecoder(self.resume_key or "", turn_id="")
        for line in lines:
            if self._request.keep_raw:
                yield RawOutput(line=line.raw.decode(errors="replace"))
            yield from decoder.decode(line.message) if line.message else [unreadable(line.raw)]

    # ------------------------------------------------------------------------------- the process

    def _opened(self) -> tuple[Peer, Thread]:
        if self._peer is None or self._thread is None:
            msg = "the codex session was never opened"
            raise SessionStateError(msg)
        return self._peer, self._thread

    def _use(self, peer: Peer, thread: Thread) -> None:
        self._peer, self._thread = peer, thread
        if thread.notice:
            self._notices.append(thread.notice)

    def _reopen(self) -> Iterator[Event]:
        """Make sure that the thread is open in a running process; it may have crashed."""
        peer, thread = self._opened()
        if peer.running:
            return
        deadline = Deadline("start", self._request.deadlines.start, provider=NAME)
        peer = self._server.peer(deadline, self._stop)
        try:
            thread = resume_thread(peer, self._request, thread.id, self._mark, self, deadline)
        except NotResumableError:
            if self._prompted:
                raise
            # codex writes a thread down with its first turn; nothing was said in this one.
            thread = start_thread(peer, self._request, self._mark, self, deadline)
        self._use(peer, thread)
        yield Notice(
            message="codex had ended; it was started again and the conversation was resumed",
            level="warning",
        )


def open_session(
    pool: ServerPool, launch: Launch, request: StartRequest, thread_id: str | None = None
) -> CodexSession:
    """Open a session, with a new thread or with an existing one.

    Raises:
        ProviderError: codex could not be started, refused, or did not answer in time.
        NotResumableError: codex does not have the thread.
        SessionBusyError: another process, or another session, has it open.
    """
    session = CodexSession(pool, launch, request)
    try:
        session.open(thread_id)
    except BaseException:
        session.close()
        raise
    return session
