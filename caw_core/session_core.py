"""What a session consists of behind its public face: record, queue, line to the agent."""

from __future__ import annotations

import bisect
import contextlib
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.agent_link import AgentLink
from caw_core.agent_turn_run import AgentTurnRun
from caw_core.annotations import annotated
from caw_core.at_exit import SESSIONS, at_exit
from caw_core.clock import utc_now
from caw_core.errors import ConfigError, PersistError, SessionStateError, UnsupportedError
from caw_core.events import Event, Notice
from caw_core.listeners import Listeners
from caw_core.live_events import LiveEvents
from caw_core.options import without_effect
from caw_core.pricing import read_ahead
from caw_core.provider import Prompt
from caw_core.recorder import Recorder
from caw_core.trajectory import SessionInfo, Trajectory
from caw_core.turn_ending import BY_END
from caw_core.turn_limits import UsageWatch
from caw_core.turn_queue import Ticket, TurnQueue
from caw_core.turn_run import TurnRun
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from caw_core.agent_turns import AgentTurn
    from caw_core.chosen_listeners import ChosenListeners
    from caw_core.fallback import Fallback, OpenedInstead
    from caw_core.leases import SessionLeases
    from caw_core.opening import SessionOpener
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import ProviderSession, StartRequest
    from caw_core.redaction import Redactor
    from caw_core.settings import Settings
    from caw_core.tool_serving import OpenTools
    from caw_core.trajectory import ResolvedOption, Turn

log = logging.getLogger("caw.session")

_WORDS = {"files": "take files", "images": "take images", "models": "list its models"}
"""Capabilities that are no verbs."""


_open: weakref.WeakSet[SessionCore] = weakref.WeakSet()


def _end_all() -> None:
    cores = [core for core in _open if not core.ended]
    threads = [threading.Thread(target=core.end_unattended, daemon=True) for core in cores]
    for thread in threads:
        thread.start()
    patience = max((6 * core.request.deadlines.stop for core in cores), default=0)
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))


at_exit(SESSIONS, _end_all)


class SessionCore:
    """Shared by `caw_core.Session` and the turns that run in it.

    Args:
        opener: opens forks, and the agent's side again after it was lost.
        plugins: the provider and the storages.
        settings: the agent's settings.
        agent_session: the provider's session.
        info: the head of the record.
        turns: the turns so far.
        request: what the provider was asked for.
        options: how it treats the options.
        leases: the rights to write the record.
        redactor: knows the secrets that the session was given.
        tools: the tools in Python that its agent may call.
        listeners: who is told of its turns.
    """

    def __init__(  # noqa: PLR0913 - the parts of a session, put together once
        self,
        *,
        opener: SessionOpener,
        plugins: AgentPlugins,
        settings: Settings,
        agent_session: ProviderSession,
        info: SessionInfo,
        turns: Sequence[Turn],
        request: StartRequest,
        options: tuple[ResolvedOption, ...],
        leases: SessionLeases,
        redactor: Redactor,
        tools: OpenTools,
        listeners: ChosenListeners,
    ) -> None:
        self._pid = os.getpid()
        self._redactor = redactor
        self.opener = opener
        self.plugins = plugins
        self.settings = settings
        self.request = request
        self.tools = tools
        self.options = options
        self.recorder = Recorder(plugins, redactor)
        live = LiveEvents(info.session_id, plugins, redactor)
        self.listeners = Listeners(lambda: self.info, live, listeners, redactor)
        self.queue = TurnQueue()
        self.used = UsageStats()
        self.link = self._linked(agent_session, info.resume_key)
        self.fallback: Fallback | None = None
        self.ended = False
        self._info = info
        self._turns = list(turns)
        self._leases = leases
        self._lock = threading.RLock()
        self._ending = threading.Lock()
        self._running: list[TurnRun] = []
        self.agent_turn_callbacks: list[Callable[[Turn], None]] = []
        _open.add(self)
        self._notices: list[Event] = []
        self.tell(*without_effect(info.provider, options))
        if settings.budget.usd is not None:
            read_ahead(plugins, request.model or info.provider)
        request.agent_turns.attach(self._begin_agent_turn)

    @property
    def redactor(self) -> Redactor:
        """Knows the session's secrets; the key that resumes it is one, but where it is our id."""
        key = self.link.resume_key
        if key is not None and key != self._info.session_id:
            self._redactor.add(key)
        return self._redactor

    # --------------------------------------------------------------------------- the record

    @property
    def info(self) -> SessionInfo:
        """The head of the record, as it is now."""
        with self._lock:
            key = self.link.resume_key
            if key != self._info.resume_key:
                self._info = attrs.evolve(self._info, resume_key=key)
            return self._info

    @property
    def trajectory(self) -> Trajectory:
        """The record so far, the running turn included."""
        running = [turn for run in self.running() if (turn := run.turn()) is not None]
        with self._lock:
            # One that has ended meanwhile is in both.
            turns = {turn.index: turn for turn in (*running, *self._turns)}
            return Trajectory.of(self.info, tuple(turns[index] for index in sorted(turns)))

    def change_info(self, **changes: Any) -> None:
        """Change the head of the record; it is stored with the next turn."""
        with self._lock:
            self._info = attrs.evolve(self.info, **changes)

    def annotate(self, metadata: Mapping[str, Any] | None, tags: Sequence[str] | None) -> None:
        """Change metadata and tags, and store them; see `caw_core.Session.annotate`."""
        if self.ended:
            msg = "the session has ended; its record is changed with Store.annotate"
            raise SessionStateError(msg)
        with self._lock:
            self._info = annotated(self.info, metadata, tags)
        failures = self.recorder.record_head(self.info)
        if failures:
            msg = "the head of the record was not stored everywhere; session.flush() tries again"
            raise PersistError(msg, failures)

    def next_index(self) -> int:
        """Return the place of the turn that begins now."""
        with self._lock:
            # Not their number: a record that lost one has a hole, and its last turn must stay.
            return self._turns[-1].index + 1 if self._turns else 0

    def add_turn(self, turn: Turn) -> None:
        """Take a finished turn into the record."""
        with self._lock:
            # One that gave way to a turn of the agent's own may have ended before that.
            bisect.insort(self._turns, turn, key=lambda turn: turn.index)
            self.used = self.used + turn.total_usage

    # ---------------------------------------------------------------------------- the turns

    @property
    def max_calls(self) -> int | None:
        """How many model calls a turn may make, where the provider leaves the counting to us."""
        native = self.plugins.info.options.get("max_turns")
        return None if native and native.support == "native" else self.request.max_turns

    def track(self, run: TurnRun) -> None:
        """Know a turn that was asked for, so that `running` and `end` reach it."""
        with self._lock:
            self._running.append(run)

    def untrack(self, run: TurnRun) -> None:
        """Forget a turn that has ended; idempotent."""
        with self._lock:
            if run in self._running:
                self._running.remove(run)

    def running(self) -> list[TurnRun]:
        """Return the turn that runs now, if any; behind it, one whose prompt waits for its end."""
        with self._lock:
            # Asked outside of this lock, since a turn asks us under its own.
            tracked = list(self._running)
        begun = [(turn.index, run) for run in tracked if (turn := run.turn()) is not None]
        return [run for _, run in sorted(begun, key=lambda item: item[0])]

    def usage_watch(self) -> UsageWatch:
        """Return what counts the usage of the turn that begins now."""
        return UsageWatch(self.settings.budget, self.used, self.max_calls)

    def change_agent(self, opened: OpenedInstead) -> Callable[[], None]:
        """Go on with another provider, which knows nothing of what was said so far.

        Returns:
            What closes the agent before, and its tools.
        """
        link, tools = self.link, self.tools
        # What it still begins is nobody's.
        self.request.agent_turns.attach(lambda _: None)
        with self._lock:
            self.opener, self.plugins = opened.opener, opened.plugins
            self.settings, self.request = opened.settings, opened.request
            self.options, self.tools = opened.options, opened.tools
            self.link = self._linked(opened.agent, None)
            self._info = attrs.evolve(
                self._info,
                provider=opened.plugins.info.name,
                model=opened.request.model or "",
                reasoning=opened.request.reasoning or "",
                resume_key=None,
            )
        opened.request.agent_turns.attach(self._begin_agent_turn)

        def close() -> None:
            link.close()
            tools.close()

        return close

    def agent_crashed(self, agent: ProviderSession) -> None:
        """Have the next turn resume the conversation, unless the provider sees to that itself."""
        capabilities = self.plugins.info.capabilities
        if capabilities & {"resume", "record_resume"} and "restart" not in capabilities:
            self.link.crashed(agent)

    def _begin_agent_turn(self, turn: AgentTurn) -> None:
        try:
            AgentTurnRun(self, turn)
        except SessionStateError:
            log.debug("session %s ended before a turn of its agent's own", self._info.session_id)

    @contextlib.contextmanager
    def between_turns(self) -> Iterator[None]:
        """Hold the session as a turn would, after those that were asked for before."""
        ticket = Ticket()
        self.queue.join(ticket)
        try:
            self.queue.wait(ticket)
            yield
        finally:
            self.queue.leave(ticket)

    def tell(self, *events: Event | str) -> None:
        """Have something told in the next turn; a text is told as a warning."""
        self._notices += [
            Notice(level="warning", message=event) if isinstance(event, str) else event
            for event in events
        ]

    def take_notices(self) -> list[Event]:
        """Return what the user should be told once."""
        notices, self._notices = self._notices, []
        return notices

    # ------------------------------------------------------------------------------ the end

    def end(self) -> None:
        """Interrupt what runs, close the agent, finish the record; idempotent.

        Raises:
            PersistError: something could not be stored; everything else has been done.
        """
        if self._is_of_parent():
            # The agent and the record are the parent's, which goes on with them.
            self.ended = True
            return
        with self._ending:
            if self.ended:
                return
            self.queue.close()
            with self._lock:
                running = list(self._running)
            for run in running:
                run.interrupt(BY_END)
            for run in running:
                run.finished.wait()
            self.link.close()
            self.tools.close()
            self.listeners.close()
            self.change_info(completed_at=utc_now())
            try:
                self.recorder.finish(self.info)
            except PersistError:
                log.exception("session %s ended with unstored turns", self._info.session_id)
                raise
            finally:
                self._leases.release()
                self.ended = True

    def end_unattended(self) -> None:
        """Do as `end` where nobody is there to be told of what goes wrong."""
        try:
            self.end()
        except Exception:
            log.exception("session %s could not be ended properly", self._info.session_id)

    # --------------------------------------------------------------------------- the checks

    def need(self, capability: str) -> None:
        """Raise `UnsupportedError` if the provider does not declare *capability*."""
        if capability not in self.plugins.info.capabilities:
            provider = self._info.provider
            what = _WORDS.get(capability, capability.replace("_", " "))
            msg = f"the provider {provider!r} cannot {what}"
            raise UnsupportedError(msg, provider=provider, options=(capability,))

    def check_prompt(self, prompt: object) -> Prompt:
        """Return *prompt* as a `Prompt` that the provider can take.

        Raises:
            ConfigError: it cannot.
            SessionBusyError: another process writes the session's record by now.
            SessionStateError: this process is a fork of the session's.
        """
        if self._is_of_parent():
            msg = (
                f"the session belongs to process {self._pid}, and this is a fork of it: open a "
                "session here, or end that one there and resume it here by its handle"
            )
            raise SessionStateError(msg)
        self._leases.check()
        if isinstance(prompt, str):
            prompt = Prompt(text=prompt)
        if not isinstance(prompt, Prompt):
            msg = f"a prompt is a str or a Prompt, not {type(prompt).__name__}"
            raise ConfigError(msg)
        try:
            prompt.text.encode()
        except UnicodeEncodeError as error:
            msg = f"the prompt holds half a character (a lone surrogate) at {error.start}"
            raise ConfigError(msg) from error
        if not prompt.text.strip() and not prompt.attachments:
            msg = "the prompt is empty: give it a text or an attachment"
            raise ConfigError(msg)
        for item in prompt.attachments:
            self.need("images" if item.is_image else "files")
        return prompt

    def _linked(self, session: ProviderSession, key: str | None) -> AgentLink:
        link = AgentLink(session, key, self._reopen, self.request.deadlines.stop)
        link.on_resume = self.tell
        return link

    def _is_of_parent(self) -> bool:
        return os.getpid() != self._pid

    def _reopen(self, key: str) -> ProviderSession:
        with self._lock:
            # Without the turn that runs: its prompt is still to be sent.
            record = Trajectory.of(self.info, tuple(self._turns))
        return self.opener.reopen(self.request, key, record)
