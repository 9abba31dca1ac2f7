"""A conversation with claude: one process, kept alive between turns where it can be."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import (
    ProcessError,
    ProtocolError,
    ProviderError,
    SessionBusyError,
    SessionStateError,
    UnsupportedError,
)
from caw_core.events import Event, Notice, TurnEnded
from caw_core.json_fields import text
from caw_core.locks import ConversationLock
from caw_provider_claude_code import forms
from caw_provider_claude_code.asking import Asking
from caw_provider_claude_code.content import user_line
from caw_provider_claude_code.control import ControlError, Peer
from caw_provider_claude_code.errors import NAME, gone
from caw_provider_claude_code.launch import Launch, prepare
from caw_provider_claude_code.leftovers import end_leftovers
from caw_provider_claude_code.listener import Listener, OwnTurn
from caw_provider_claude_code.models import check_effort
from caw_provider_claude_code.plan import Plan
from caw_provider_claude_code.protocols import (
    WITHOUT_CONTROL,
    StartFiles,
    protocol_of,
    speaks_no_control,
)
from caw_provider_claude_code.starting import start_live, start_once
from caw_provider_claude_code.transcripts import (
    conversation_id,
    new_conversation,
    resume_argument,
    transcripts,
)
from caw_provider_claude_code.turn import RunningTurn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.blocks import JSON
    from caw_core.provider import ModelInfo, Prompt, StartRequest

_NOTICES: Final = 256


class ClaudeCodeSession:
    """One conversation. Made by `open_session`; the methods are those of the contract.

    Args:
        request: what was asked for.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        ProgramNotFoundError: there is no claude.
        UnsupportedError: two options exclude each other.
    """

    def __init__(self, request: StartRequest) -> None:
        self._protocol = protocol_of(request.options)
        self._live = self._protocol != "spawn"
        self._forms_by_tool = forms.by_tool(request.options)
        self._launch: Launch = prepare(request, live=self._live)
        self._request = request
        self._stop = request.deadlines.stop
        self._lock = threading.Lock()
        self._turn: RunningTurn | None = None
        self._notices: deque[str] = deque(maxlen=_NOTICES)
        self._asking = Asking(request.permission_desk, request.permissions, self._declined)
        self._plan = Plan()
        self._models: list[ModelInfo] = []
        self._key = ""
        self._origin = ""
        self._kept = False
        self._hold: ConversationLock | None = None
        self._files: StartFiles | None = None
        self._peer: Peer | None = None
        self._listener = self._new_listener()
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

    def open(self, key: str | None = None, origin: str | None = None) -> None:
        """Open a new conversation, the one that *key* names, or one that begins as *origin*."""
        if key is None:
            self._key = new_conversation(self._launch.env, self._request.session_id)
            self._origin = origin or ""
        else:
            checked = conversation_id(key)
            if checked is None:
                raise gone("that is no id of claude's")
            self._key, self._kept = checked, True
        self._hold = ConversationLock(NAME, self._key)
        if not self._live:
            self._use_one_process_a_turn()
            return
        try:
            self._start()
        except (ProtocolError, ProcessError) as error:
            if self._protocol == "live" or not speaks_no_control(self._launch.program, error):
                raise
            self._launch = prepare(self._request, live=False)
            self._use_one_process_a_turn()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        turn = self._begin()
        try:
            form = prompt.output_schema
            yield from self._reopen(form if self._forms_by_tool else None)
            has_form = form is not None and form == self._launch.form
            sent = prompt if form is None or has_form else forms.in_words(prompt)
            if not self._listener.expect(turn, prompt, self._running(), has_form=has_form):
                yield TurnEnded(stop_reason="cancelled")
                return
            turn.send(user_line(sent, turn.id))
            for event in turn.events():
                if isinstance(event, TurnEnded) and sent is not prompt:
                    said = text(self._listener.last_words, "result")
                    yield from forms.answer_in_words(said)
                yield event
        finally:
            self._finish(turn, self._peer)
            self._listener.forget(turn)
            with self._lock:
                self._turn = None

    def interrupt(self) -> None:
        """Make the running turn end soon; nothing happens when none runs."""
        for turn in self._turns():
            turn.interrupt()

    def steer(self, prompt: Prompt) -> bool:
        """Say *prompt* into the running turn; see `caw_core.provider.SteerableSession`."""
        turn = self._listener.current
        return turn is not None and turn.steer(prompt)

    def fork(self, request: StartRequest) -> ClaudeCodeSession:
        """Open a session with this history; see `caw_core.provider.ForkableSession`."""
        return open_session(request, origin=self.resume_key)

    def models(self) -> list[ModelInfo]:
        """Return the models that claude named when it was greeted."""
        if not self._live:
            msg = f"the models are not known: {WITHOUT_CONTROL}"
            raise UnsupportedError(msg, provider=NAME, options=("models",))
        return list(self._models)

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model; see `caw_core.provider.ModelChoosingSession`.

        Raises:
            ConfigError: claude does not know the effort.
            ProviderError: claude refused.
        """
        check_effort(self._models, reasoning)
        if model is not None:
            self._tell({"subtype": "set_model", "model": model})
            self._launch = attrs.evolve(self._launch, model=model)
        if reasoning is not None:
            settings = {"effortLevel": reasoning}
            self._tell({"subtype": "apply_flag_settings", "settings": settings})
            self._launch = attrs.evolve(self._launch, effort=reasoning)

    def close(self) -> None:
        """Interrupt what runs, then end the process and all that it started."""
        with self._lock:
            first = not self._closed
            self._closed = True
        if not first:
            self._gone.wait(8 * self._stop)
            return
        try:
            turns = self._turns()
            for turn in turns:
                turn.interrupt()
            for turn in turns:
                if turn.started:
                    turn.over.wait(self._stop)
                turn.abandon()
            if self._peer is not None:
                self._end_tasks(self._peer)
                self._peer.stop(self._stop)
        finally:
            if self._files is not None:
                self._files.close()
            if self._hold is not None:
                self._hold.release()
            self._gone.set()

    # -------------------------------------------------------------- called in the reader's thread

    def _conversation_is(self, key: str) -> None:
        self._key = key or self._key
        self._kept = True

    def _own_turn(self, begun: OwnTurn) -> None:
        """Have the core follow a turn that claude began by itself."""

        def events() -> Iterator[Event]:
            try:
                yield from begun.turn.events()
            finally:
                self._finish(begun.turn, begun.peer)

        self._request.agent_turns.begin(events(), cause=begun.cause, after=begun.after)

    def _declined(self, call_id: str, what: str) -> None:
        turn = self._listener.current
        if turn is not None:
            turn.declined(call_id, what)
        elif what:
            self._notices.append(f"claude asked between two prompts and was told no ({what})")

    # ---------------------------------------------------------------------------------- one turn

    def _begin(self) -> RunningTurn:
        turn = RunningTurn(keep_raw=self._request.keep_raw, live=self._live)
        with self._lock:
            if self._closed:
                msg = "the claude session is closed"
                raise SessionStateError(msg)
            if self._turn is not None:
                msg = "a turn of this claude session still runs"
                raise SessionBusyError(msg, holder="this process")
            self._turn = turn
        return turn

    def _turns(self) -> list[RunningTurn]:
        """Return the turns that run: claude's own, and that of a prompt."""
        current = self._listener.current
        with self._lock:
            return list(filter(None, dict.fromkeys((current, self._turn))))

    def _finish(self, turn: RunningTurn, peer: Peer | None) -> None:
        """Leave nothing of a turn behind."""
        if peer is not None and turn.started and not turn.over.is_set():
            # The caller left the iteration, or we gave up on a turn that claude goes on with.
            turn.interrupt()
            if not turn.over.wait(self._stop):
                # What it still says could be taken for the answer to the next prompt.
                peer.stop(self._stop)
        if peer is not None and not self._live:
            peer.stop(self._stop)
        elif peer is not None and turn.started and turn.interrupted and peer.running:
            commands = self._listener.commands
            end_leftovers(peer.marker, peer.pid, since=turn.since, background=commands)

    # ------------------------------------------------------------------------------- the process

    def _running(self) -> Peer:
        if self._peer is None:
            msg = "the claude session was never opened"
            raise SessionStateError(msg)
        return self._peer

    def _reopen(self, form: Mapping[str, JSON] | None) -> Iterator[Event]:
        """Make sure that claude runs, and with the form, if that can be."""
        if not self._live:
            fits = forms.fits_a_flag(form)
            self._start(form if fits else None)
            if not fits:
                self._notices.append(forms.TOO_LONG)
        elif not self._running().running:
            # It has crashed, or was stopped.
            self._start(form)
            self._notices.append(
                "claude had ended; it was started again and the conversation was resumed"
            )
        elif form != self._launch.form:
            if self._listener.at_rest:
                self._running().stop(self._stop)
                self._start(form)
            else:
                self._notices.append(forms.STILL_ASKED if form is None else forms.IN_WORDS)
        while self._notices:
            yield Notice(message=self._notices.popleft(), level="warning")

    def _conversation(self) -> list[str]:
        if self._kept:
            return [f"--resume={resume_argument(self._launch.env, self._key, self._launch.cwd)}"]
        # Claude writes a conversation down with its first prompt; until then it has none.
        own = f"--session-id={self._key}"
        if not self._origin:
            return [own]
        origin = resume_argument(self._launch.env, self._origin, self._launch.cwd)
        return [f"--resume={origin}", "--fork-session", own]

    def _use_one_process_a_turn(self) -> None:
        """Go on without the control protocol; claude is started with the next prompt."""
        if self._kept and not transcripts(self._launch.env, self._key):
            raise gone("there is no file of that name")
        self._live = False
        self._files = StartFiles(self._request, self._launch.greeting)
        self._notices.append(WITHOUT_CONTROL)

    def _start(self, form: Mapping[str, JSON] | None = None) -> None:
        self._launch = attrs.evolve(self._launch, form=form)
        self._listener = listener = self._new_listener(self._listener.model)
        if self._files is not None:
            more = [*self._files.flags, *forms.flags(form), *self._conversation()]
            peer = start_once(self._launch, more, listener)
        else:
            started = start_live(self._launch, self._conversation(), self._request, listener)
            peer, self._models = started.peer, started.models
            self._notices.extend(started.problems)
        with self._lock:
            closed = self._closed
            if not closed:
                self._peer = peer
        if closed:
            peer.stop(self._stop)
            msg = "the claude session was closed while claude was starting"
            raise SessionStateError(msg)

    def _new_listener(self, model: str = "") -> Listener:
        return Listener(
            plan=self._plan,
            model=model,
            live=self._live,
            keep_raw=self._request.keep_raw,
            asking=self._asking,
            on_init=self._conversation_is,
            on_own_turn=self._own_turn,
        )

    def _end_tasks(self, peer: Peer) -> None:
        # Claude waits 5 seconds for them when its input ends, and when it ends them itself it
        # spends a model call on that (2.1.197, observed).
        for task in list(self._listener.tasks) if self._live else ():
            peer.request({"subtype": "stop_task", "task_id": task}, lambda _: None)

    def _tell(self, request: dict[str, JSON]) -> None:
        """Have a running claude change something; one that is started later is told then."""
        peer = self._peer
        if not self._live or peer is None or not peer.running:
            return
        try:
            peer.call(request, timeout=self._request.deadlines.start)
        except (ControlError, TimeoutError) as error:
            msg = f"claude did not accept {text(request, 'subtype')}: {error}"
            raise ProviderError(msg, provider=NAME) from error


def open_session(
    request: StartRequest, key: str | None = None, *, origin: str | None = None
) -> ClaudeCodeSession:
    """Open a session, with a new conversation or with an existing one.

    Args:
        request: what was asked for.
        key: the conversation to continue.
        origin: the conversation whose history a new one begins with.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        ProviderError: claude could not be started, refused, or did not answer in time.
        NotResumableError: claude does not have the conversation.
        SessionBusyError: another session of caw has it open.
    """
    session = ClaudeCodeSession(request)
    try:
        session.open(key, origin)
    except BaseException:
        session.close()
        raise
    return session
