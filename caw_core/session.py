"""A conversation with an agent, as the caller holds it."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any, Self

import attrs

from caw_core.agent_link import AgentLink
from caw_core.errors import ConfigError, PersistError, SessionStateError, UnsupportedError
from caw_core.handles import ResumeHandle
from caw_core.provider import Prompt
from caw_core.recorder import Recorder
from caw_core.settings import tier_model
from caw_core.steering import SteerReceipt
from caw_core.stream import TurnStream, wait_for, wait_for_async
from caw_core.tools import ModelTier
from caw_core.trajectory import SessionInfo, Trajectory
from caw_core.turn_queue import TurnQueue
from caw_core.turn_run import BY_END, TurnRun, utc_now
from caw_core.twins import call_in_thread, call_or_discard
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from caw_core.deadlines import Deadlines
    from caw_core.opening import SessionOpener
    from caw_core.permissions import PermissionDesk
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import ModelInfo, ProviderSession, StartRequest
    from caw_core.settings import Settings
    from caw_core.storage import Lease
    from caw_core.structured import StructuredAnswer
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
        opener: SessionOpener,
        plugins: AgentPlugins,
        settings: Settings,
        agent_session: ProviderSession,
        info: SessionInfo,
        turns: Sequence[Turn],
        request: StartRequest,
        options: tuple[ResolvedOption, ...],
        leases: Sequence[Lease],
    ) -> None:
        self.options = options
        self.recorder = Recorder(plugins)
        self.queue = TurnQueue()
        self.request = request
        self.budget = settings.budget
        self.auto_wait = settings.auto_wait
        self.used = UsageStats()
        self.link = AgentLink(agent_session, info.resume_key, self._reopen, request.deadlines.stop)
        self.link.on_resume = self._notice
        self._opener = opener
        self._plugins = plugins
        self._info = info
        self._turns = list(turns)
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
        return self.request.deadlines

    @property
    def permission_desk(self) -> PermissionDesk:
        """Where the agent's requests for permission are answered."""
        return self.request.permission_desk

    @property
    def max_calls(self) -> int | None:
        """How many model calls a turn may make, where the provider leaves the counting to us."""
        native = self._plugins.info.options.get("max_turns")
        return None if native and native.support == "native" else self.request.max_turns

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The caller's own data in the record."""
        return self._info.metadata

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
        key = self.link.resume_key
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

    def send(self, prompt: str | Prompt) -> Turn:
        """Send a message, wait until the agent stops, and return the turn.

        Args:
            prompt: the message; its text reaches the model as it is. A `caw_core.Prompt` can carry
                attachments too.

        Returns:
            The turn. Its status is ``completed``, or ``interrupted`` after `interrupt`.

        Raises:
            ProviderError: the turn failed; ``.turn`` holds what was seen of it.
            PersistError: the turn is complete but was not stored everywhere; see `flush`.
            SessionStateError: the session has ended.
            KeyboardInterrupt: after the turn was interrupted and has ended.
        """
        return wait_for(TurnRun(self, self._check_prompt(prompt), None))

    async def send_async(self, prompt: str | Prompt) -> Turn:
        """Do as `send`. Cancelling the task interrupts the turn."""
        return await wait_for_async(TurnRun(self, self._check_prompt(prompt), None))

    def stream(self, prompt: str | Prompt) -> TurnStream:
        """Send a message and return its events for iteration, as they come.

        Returns at once; if another turn runs, this one waits for it.

        Args:
            prompt: the message.

        Raises:
            SessionStateError: the session has ended.
        """
        return TurnStream(self, self._check_prompt(prompt))

    async def stream_async(self, prompt: str | Prompt) -> TurnStream:
        """Do as `stream`; iterate over the result with ``async for``."""
        return self.stream(prompt)

    def json(
        self,
        prompt: str | Prompt,
        *,
        schema: type[Any] | Mapping[str, Any],
        repairs: int = 1,
    ) -> StructuredAnswer:
        """Ask for an answer in a given form, and check that it has it.

        The agent's own mechanism is used where it has one; otherwise the form is described in the
        prompt. An answer that does not fit is sent back *repairs* times with what is wrong.

        Args:
            prompt: the question.
            schema: a pydantic model, an attrs class, or a JSON Schema as a mapping.
            repairs: how often to ask again.

        Returns:
            The value, as an instance of *schema* or as plain JSON, and the turn.

        Raises:
            StructuredOutputError: the last answer did not fit either; it holds the text, and its
                ``turn`` is kept.
            ConfigError: *schema* is none.
            As `send` does.
        """
        from caw_core.structured import ask_for

        native = "structured" in self._plugins.info.capabilities
        return ask_for(self.send, self._check_prompt(prompt), schema, repairs, native=native)

    async def json_async(
        self,
        prompt: str | Prompt,
        *,
        schema: type[Any] | Mapping[str, Any],
        repairs: int = 1,
    ) -> StructuredAnswer:
        """Do as `json`. When the task is cancelled, the turn goes on."""
        return await call_in_thread(self.json, prompt, schema=schema, repairs=repairs)

    def steer(self, text: str) -> SteerReceipt:
        """Say something into the running turn; from any thread, returns at once.

        Args:
            text: the message.

        Returns:
            Whether it was delivered, queued as a turn of its own, or rejected since nothing runs.
        """
        prompt = self._check_prompt(text)
        with self._lock:
            running = [run for run in self._running if run.turn() is not None]
        if not running:
            return SteerReceipt(outcome="rejected", reason="no turn is running; use send()")
        if "steer" in self._plugins.info.capabilities:
            if running[0].steer(prompt):
                return SteerReceipt(outcome="delivered")
            reason = "the turn was about to end"
        else:
            reason = f"{self.provider} takes nothing while a turn runs"
        return SteerReceipt(outcome="queued", reason=reason, stream=self.stream(prompt))

    def interrupt(self) -> None:
        """End the running turn early, from any thread; without one this does nothing.

        The turn ends as ``interrupted`` with what was seen, and the session stays usable.
        """
        with self._lock:
            running = [run for run in self._running if run.turn() is not None]
        for run in running:
            run.interrupt()

    # ------------------------------------------------------------------------ between turns

    def fork(
        self,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Open an independent session that begins with this one's history.

        Waits for a running turn.

        Args:
            session_id: the new session's id; default a UUID.
            metadata: added to this session's.

        Raises:
            UnsupportedError: the provider cannot fork.
            As `caw_core.Agent.start_session` does.
        """
        with self._between_turns():
            return self._opener.fork(self, session_id, metadata)

    async def fork_async(
        self,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Do as `fork`."""
        fork = functools.partial(self.fork, session_id=session_id, metadata=metadata)
        return await call_or_discard(fork, Session.end)

    def models(self) -> list[ModelInfo]:
        """Return the models that the agent offers; no tokens are spent.

        Raises:
            UnsupportedError: the agent cannot say.
        """
        self._need("models")
        return self.link.models().models()

    async def models_async(self) -> list[ModelInfo]:
        """Do as `models`."""
        return await call_in_thread(self.models)

    def set_model(self, model: str | ModelTier | None, *, reasoning: str | None = None) -> None:
        """Use another model from the next turn on. Waits for a running turn.

        Args:
            model: its name or tier; None keeps the model.
            reasoning: the effort; None keeps it.

        Raises:
            UnsupportedError: the agent cannot change its model, or names none for the tier.
        """
        self._need("set_model")
        name = tier_model(self._plugins.info, model) if isinstance(model, ModelTier) else model
        with self._between_turns():
            self.link.models().set_model(name, reasoning)
            self.request = attrs.evolve(
                self.request,
                model=name or self.request.model,
                reasoning=reasoning or self.request.reasoning,
            )
            with self._lock:
                self._info = attrs.evolve(
                    self.info,
                    model=self.request.model or "",
                    reasoning=self.request.reasoning or "",
                )

    async def set_model_async(
        self,
        model: str | ModelTier | None,
        *,
        reasoning: str | None = None,
    ) -> None:
        """Do as `set_model`."""
        await call_in_thread(self.set_model, model, reasoning=reasoning)

    def _need(self, capability: str) -> None:
        if capability not in self._plugins.info.capabilities:
            msg = f"the provider {self.provider!r} cannot {capability.replace('_', ' ')}"
            raise UnsupportedError(msg, provider=self.provider, options=(capability,))

    @contextlib.contextmanager
    def _between_turns(self) -> Iterator[None]:
        ticket = self.queue.join()
        try:
            self.queue.wait(ticket)
            yield
        finally:
            self.queue.leave(ticket)

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
            self.link.close()
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
            self.used = self.used + turn.usage

    def take_notices(self) -> list[str]:
        """Return what the user should be told once, with the first turn."""
        notices, self._notices = self._notices, []
        return notices

    def _notice(self, message: str) -> None:
        self._notices.append(message)

    def _reopen(self, key: str) -> ProviderSession:
        return self._opener.reopen(self.request, key, self.trajectory)

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

    def _check_prompt(self, prompt: object) -> Prompt:
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
        for item in prompt.attachments:
            self._need("images" if item.is_image else "files")
        return prompt
