"""A conversation with an agent, as the caller holds it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Self

import attrs

from caw_core.bounded import call_within
from caw_core.errors import (
    ConfigError,
    NotResumableError,
    PersistError,
    SessionStateError,
)
from caw_core.handles import ResumeHandle
from caw_core.recorder import Recorder
from caw_core.stream import TurnStream, wait_for, wait_for_async
from caw_core.trajectory import SessionInfo, Trajectory
from caw_core.turn_queue import TurnQueue
from caw_core.turn_run import BY_END, TurnRun, utc_now
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from caw_core.deadlines import Deadlines
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import ProviderSession, StartRequest
    from caw_core.storage import Lease
    from caw_core.trajectory import ResolvedOption, Turn

log = logging.getLogger("caw.session")


class Session:
    """One conversation. Made by `caw_core.Agent.start_session` and `resume_session`.

    Turns run one after another, in the order in which they were asked for, from any thread and
    any event loop. Use the session as a context manager, or call `end`.
    """

    def __init__(
        self,
        *,
        plugins: AgentPlugins,
        agent_session: ProviderSession,
        reopen: Callable[[str, Trajectory], ProviderSession],
        info: SessionInfo,
        turns: Sequence[Turn],
        request: StartRequest,
        options: tuple[ResolvedOption, ...],
        leases: Sequence[Lease],
    ) -> None:
        self.options = options
        self.recorder = Recorder(plugins)
        self.queue = TurnQueue()
        self._plugins = plugins
        self._agent_session: ProviderSession | None = agent_session
        self._reopen = reopen
        self._info = info
        self._turns = list(turns)
        self._request = request
        self._leases = list(leases)
        self._lock = threading.RLock()
        self._ending = threading.Lock()
        self._ended = False
        self._running: list[TurnRun] = []
        self._notices = [
            f"{option.name} has no effect with {info.provider}: {option.how}"
            for option in options
            if option.support == "unsupported"
        ]

    # --------------------------------------------------------------------------- what it is

    @property
    def session_id(self) -> str:
        """Caw's id of the session."""
        return self._info.session_id

    @property
    def provider(self) -> str:
        """The provider's canonical name."""
        return self._info.provider

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines that hold for each turn."""
        return self._request.deadlines

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The caller's own data in the record."""
        return self._info.metadata

    @property
    def info(self) -> SessionInfo:
        """The head of the record, as it is now."""
        with self._lock:
            key = self._resume_key()
            if key != self._info.resume_key:
                self._info = attrs.evolve(self._info, resume_key=key)
            return self._info

    @property
    def trajectory(self) -> Trajectory:
        """The record so far, the running turn included. Available during the session and after."""
        with self._lock:
            turns = list(self._turns)
            running = [turn for run in self._running if (turn := run.turn()) is not None]
            turns += [turn for turn in running if turn.index >= len(turns)]
            return Trajectory.of(self.info, tuple(turns))

    @property
    def resume_handle(self) -> str:
        """The string by which another process continues this session. Keep it like a password.

        Raises:
            SessionStateError: the agent has not given its key yet; send a message first.
        """
        key = self._resume_key()
        if not key:
            msg = (
                f"there is no resume handle yet: {self.provider} gives its key with the first "
                "turn. Send at least one message first."
            )
            raise SessionStateError(msg)
        return ResumeHandle(
            provider=self.provider,
            session_id=self.session_id,
            resume_key=key,
        ).encode()

    @property
    def session_dir(self) -> Path | None:
        """The folder that holds the record; None without a storage that keeps one."""
        return self._plugins.session_dir(self.session_id)

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    # ---------------------------------------------------------------------------- its turns

    def send(self, prompt: str) -> Turn:
        """Send a message, wait until the agent stops, and return the turn.

        Args:
            prompt: the message; it reaches the model as it is.

        Returns:
            The turn. Its status is ``completed``, or ``interrupted`` after `interrupt`.

        Raises:
            ProviderError: the turn failed; ``.turn`` holds what was seen of it.
            PersistError: the turn is complete but was not stored everywhere; see `flush`.
            SessionStateError: the session has ended.
            KeyboardInterrupt: after the turn was interrupted and has ended.
        """
        return wait_for(TurnRun(self, self._check_prompt(prompt), None))

    async def send_async(self, prompt: str) -> Turn:
        """Do as `send`. Cancelling the task interrupts the turn."""
        return await wait_for_async(TurnRun(self, self._check_prompt(prompt), None))

    def stream(self, prompt: str) -> TurnStream:
        """Send a message and return its events for iteration, as they come.

        Returns at once; if another turn runs, this one waits for it.

        Args:
            prompt: the message.

        Raises:
            SessionStateError: the session has ended.
        """
        return TurnStream(self, self._check_prompt(prompt))

    async def stream_async(self, prompt: str) -> TurnStream:
        """Do as `stream`; iterate over the result with ``async for``."""
        return self.stream(prompt)

    def interrupt(self) -> None:
        """End the running turn early, from any thread; without one this does nothing.

        The turn ends as ``interrupted`` with what was seen, and the session stays usable.
        """
        with self._lock:
            running = [run for run in self._running if run.turn() is not None]
        for run in running:
            run.interrupt()

    # ------------------------------------------------------------------------------ the end

    def end(self) -> Trajectory:
        """End the session and return its record; idempotent.

        A turn that still runs is interrupted and recorded as ``interrupted``; whoever waits for it
        gets a `TurnInterruptedError`. Turns that were still waiting get a `SessionStateError`.

        Raises:
            PersistError: something could not be stored; everything else has been done.
        """
        with self._ending:
            if self._ended:
                return self.trajectory
            self.queue.close()
            with self._lock:
                running = list(self._running)
            for run in running:
                run.interrupt(BY_END)
            for run in running:
                run.finished.wait()
            self._close_agent()
            with self._lock:
                self._info = attrs.evolve(self.info, completed_at=utc_now())
            try:
                self._record_end()
            finally:
                for lease in self._leases:
                    lease.release()
                self._ended = True
        return self.trajectory

    async def end_async(self) -> Trajectory:
        """Do as `end`."""
        return await call_in_thread(self.end)

    def flush(self) -> None:
        """Try again to store what a storage did not take before.

        Raises:
            PersistError: it still does not; nothing is lost, try later.
        """
        self.recorder.flush(self.info)

    async def flush_async(self) -> None:
        """Do as `flush`."""
        await call_in_thread(self.flush)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_async()

    def __repr__(self) -> str:
        """Show the id and the provider; the resume key is a secret."""
        return f"<Session {self.session_id} of {self.provider}, {len(self._turns)} turns>"

    # ------------------------------------------------------------------- for the running turn

    def track(self, run: TurnRun) -> None:
        """Know a turn that was asked for, so that `interrupt` and `end` reach it."""
        with self._lock:
            self._running.append(run)

    def untrack(self, run: TurnRun) -> None:
        """Forget a turn that has ended."""
        with self._lock:
            self._running.remove(run)

    def next_index(self) -> int:
        """Return the place of the turn that begins now."""
        with self._lock:
            return len(self._turns)

    def add_turn(self, turn: Turn) -> None:
        """Take a finished turn into the record."""
        with self._lock:
            self._turns.append(turn)

    def take_notices(self) -> list[str]:
        """Return what the user should be told once, with the first turn."""
        notices, self._notices = self._notices, []
        return notices

    def agent_session(self) -> ProviderSession:
        """Return the provider's session; one that had to be given up is resumed.

        Raises:
            NotResumableError: it was given up before the agent gave its key.
        """
        with self._lock:
            agent = self._agent_session
        if agent is not None:
            return agent
        if self.queue.closed:
            msg = "the session has ended"
            raise SessionStateError(msg)
        key = self._info.resume_key
        if not key:
            msg = "the agent's session was lost before it had given its key; start a new session"
            raise NotResumableError(msg)
        self._notices.append("the agent had to be stopped; its conversation was resumed")
        agent = self._reopen(key, self.trajectory)
        with self._lock:
            self._agent_session = agent
        return agent

    def interrupt_agent(self) -> None:
        """Ask the agent to stop its turn."""
        with self._lock:
            agent = self._agent_session
        if agent is not None:
            agent.interrupt()

    def abandon_agent(self) -> None:
        """Give up on the provider's session; the next turn resumes the conversation."""
        log.warning("session %s: the agent does not stop; closing it", self.session_id)
        self._close_agent()

    def _close_agent(self) -> None:
        with self._lock:
            self._info = self.info
            agent, self._agent_session = self._agent_session, None
        if agent is None:
            return
        # Two steps of the ladder and some room; a provider that hangs must not hang us.
        limit = 4 * self.deadlines.stop + 1
        try:
            call_within(limit, "stop", agent.close, lambda _: None)
        except Exception:
            log.exception("closing the agent of session %s failed", self.session_id)

    def _resume_key(self) -> str | None:
        agent = self._agent_session
        return (agent.resume_key if agent is not None else None) or self._info.resume_key

    def _record_end(self) -> None:
        info = self.info
        failures = self.recorder.record_head(info)
        if failures or self.recorder.pending_turns:
            # What failed before gets one more chance; what still fails is raised.
            try:
                self.recorder.flush(info)
            except PersistError:
                log.exception("session %s ended with unstored turns", self.session_id)
                raise

    @staticmethod
    def _check_prompt(prompt: object) -> str:
        if not isinstance(prompt, str):
            msg = f"a prompt is a str, not {type(prompt).__name__}"
            raise ConfigError(msg)
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            msg = f"the prompt holds half a character (a lone surrogate) at {error.start}"
            raise ConfigError(msg) from error
        return prompt
