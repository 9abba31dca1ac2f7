"""A conversation with an agent, as the caller holds it."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from caw_core.brief import BRIEF_CHARACTERS
from caw_core.errors import ConfigError
from caw_core.handoff import Handoff, Wish, hand_over
from caw_core.session_record import SessionRecord
from caw_core.settings import check_model, check_reasoning
from caw_core.steering import SteerReceipt
from caw_core.stream import TurnStream, wait_for, wait_for_async
from caw_core.tools import ModelTier
from caw_core.turn_run import TurnRun
from caw_core.twins import call_in_thread, call_or_discard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caw_core.provider import ModelInfo, Prompt
    from caw_core.structured import StructuredAnswer
    from caw_core.trajectory import ResolvedOption, Trajectory, Turn


log = logging.getLogger("caw.session")


class Session(SessionRecord):
    """One conversation. Made by `caw_core.Agent.start_session` and `resume_session`.

    Turns run one after another, in the order in which they were asked for, from any thread and
    any event loop. Use the session as a context manager, or call `end`.
    """

    # --------------------------------------------------------------------------- what it is

    @property
    def options(self) -> tuple[ResolvedOption, ...]:
        """How the provider treats each option that the agent was given."""
        return self._core.options

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._core.ended

    # ---------------------------------------------------------------------------- its turns

    def send(self, prompt: str | Prompt) -> Turn:
        """Send a message, wait until the agent stops, and return the turn.

        Args:
            prompt: the message; its text reaches the model as it is. A `caw_core.Prompt` can carry
                attachments too.

        Returns:
            The turn. Its status is ``completed``, or ``interrupted`` after `interrupt`.

        Raises:
            ConfigError: the prompt is empty or no text; nothing was sent.
            ProviderError: the turn failed; ``.turn`` holds what was seen of it.
            PersistError: the turn is complete but was not stored everywhere; see `flush`.
            SessionStateError: the session has ended.
            KeyboardInterrupt: after the turn was interrupted and has ended.
        """
        return wait_for(TurnRun(self._core, self._core.check_prompt(prompt), None))

    async def send_async(self, prompt: str | Prompt) -> Turn:
        """Do as `send`. Cancelling the task interrupts the turn."""
        return await wait_for_async(TurnRun(self._core, self._core.check_prompt(prompt), None))

    def stream(self, prompt: str | Prompt) -> TurnStream:
        """Send a message and return its events for iteration, as they come.

        Returns at once; if another turn runs, this one waits for it.

        Args:
            prompt: the message.

        Raises:
            ConfigError: the prompt is empty or no text; nothing was sent.
            SessionStateError: the session has ended.
        """
        return TurnStream(self, self._core, self._core.check_prompt(prompt))

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
            ConfigError: *schema* is none, or *repairs* is no number.
            As `send` does.
        """
        from caw_core.structured import ask_for

        native = "structured" in self._core.plugins.info.capabilities
        return ask_for(self.send, self._core.check_prompt(prompt), schema, repairs, native=native)

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
        prompt = self._core.check_prompt(text)
        running = self._core.running()
        if not running:
            return SteerReceipt(outcome="rejected", reason="no turn is running; use send()")
        if "steer" in self._core.plugins.info.capabilities:
            if running[0].steer(prompt):
                return SteerReceipt(outcome="delivered")
            reason = "the turn was about to end"
        else:
            reason = f"{self.provider} takes nothing while a turn runs"
        return SteerReceipt(outcome="queued", reason=reason, stream=self.stream(prompt))

    def on_agent_turn(self, callback: Callable[[Turn], None]) -> None:
        """Have *callback* called with each turn that the agent began by itself, once it has ended.

        Such turns are in `trajectory` either way; their ``origin`` is ``agent``. Only agents with
        the capability ``agent_turns`` have them.

        Args:
            callback: called in a thread of its own, one turn after another; what it raises is
                logged.
        """
        self._core.agent_turn_callbacks.append(callback)

    def interrupt(self) -> None:
        """End the running turn early, from any thread; without one this does nothing.

        The turn ends as ``interrupted`` with what was seen, and the session stays usable.
        """
        for run in self._core.running():
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
        with self._core.between_turns():
            return self._core.opener.fork(self._core, session_id, metadata)

    async def fork_async(
        self,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Do as `fork`."""
        fork = functools.partial(self.fork, session_id=session_id, metadata=metadata)
        return await call_or_discard(fork, Session.end)

    def handoff(
        self,
        provider: str,
        *,
        model: str | ModelTier | None = None,
        how: Literal["auto", "native", "replay", "brief"] = "auto",
        options: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        end: bool = True,
        max_characters: int = BRIEF_CHARACTERS,
    ) -> Handoff:
        """Carry this conversation on to another provider, in a session of its own.

        Waits for a running turn. The new session's record begins with the turns of this one, and
        says in ``forked_from`` and ``extra["handoff"]`` where they come from. Nothing is spent
        until its first turn.

        Args:
            provider: who takes it over.
            model: its model there, by name or tier; default as `caw_core.set_provider_order` or the
                agent says for it, else its own.
            how: ``native``: it puts the history into its agent's own conversation; ``replay``: it
                sends it with each prompt; ``brief``: it goes in front of the next prompt as a text;
                ``auto``: the first of these that the provider knows.
            options: options of that provider alone.
            session_id: the new session's id; default a UUID.
            metadata: added to this session's.
            end: end this session, whose agent is then closed. It can be resumed all the same.
            max_characters: how long a brief may be; the oldest turns are cut first.

        Returns:
            The new session, the way, and what its agent's model is told of the history and what
            not.

        Raises:
            UnsupportedError: the provider does not take a history that way.
            SessionStateError: this session has ended.
            As `caw_core.Agent.start_session` does; this session is then as it was.
        """
        wish = Wish(
            provider=provider,
            model=model,
            how=how,
            options=options,
            session_id=session_id,
            metadata=metadata,
            end=end,
            max_characters=max_characters,
        )
        with self._core.between_turns():
            return hand_over(self._core, wish)

    async def handoff_async(
        self,
        provider: str,
        *,
        model: str | ModelTier | None = None,
        how: Literal["auto", "native", "replay", "brief"] = "auto",
        options: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        end: bool = True,
        max_characters: int = BRIEF_CHARACTERS,
    ) -> Handoff:
        """Do as `handoff`."""
        handoff = functools.partial(
            self.handoff,
            provider,
            model=model,
            how=how,
            options=options,
            session_id=session_id,
            metadata=metadata,
            end=end,
            max_characters=max_characters,
        )
        return await call_or_discard(handoff, lambda done: done.session.end())

    def models(self) -> list[ModelInfo]:
        """Return the models that the agent offers; no tokens are spent.

        Raises:
            UnsupportedError: the agent cannot say.
        """
        self._core.need("models")
        return self._core.link.models().models()

    async def models_async(self) -> list[ModelInfo]:
        """Do as `models`."""
        return await call_in_thread(self.models)

    def set_model(self, model: str | ModelTier | None, *, reasoning: str | None = None) -> None:
        """Use another model from the next turn on. Waits for a running turn.

        Args:
            model: its name or tier; None keeps the model.
            reasoning: the effort; None keeps it.

        Raises:
            ConfigError: one of them is no text, or empty; nothing was changed.
            UnsupportedError: the agent cannot change its model, or none is set for the tier.
        """
        self._core.need("set_model")
        if "" in (check_model(model), check_reasoning(reasoning)):
            msg = "a model and an effort have names; None keeps what is"
            raise ConfigError(msg)
        if isinstance(model, ModelTier):
            from caw_core.model_config import tier_model

            model = tier_model(self._core.plugins.info, model, self._core.request.env)
        with self._core.between_turns():
            self._core.link.models().set_model(model, reasoning)
            request = self._core.request
            self._core.request = attrs.evolve(
                request,
                model=model or request.model,
                reasoning=reasoning or request.reasoning,
            )
            self._core.change_info(
                model=self._core.request.model or "",
                reasoning=self._core.request.reasoning or "",
            )

    async def set_model_async(
        self,
        model: str | ModelTier | None,
        *,
        reasoning: str | None = None,
    ) -> None:
        """Do as `set_model`."""
        await call_in_thread(self.set_model, model, reasoning=reasoning)

    # ------------------------------------------------------------------------------ the end

    def end(self) -> Trajectory:
        """End the session and return its record; idempotent.

        A turn that still runs is interrupted and recorded as ``interrupted``; whoever waits for it
        gets a `TurnInterruptedError`. Turns that were still waiting get a `SessionStateError`.

        Raises:
            PersistError: something could not be stored; everything else has been done.
        """
        self._core.end()
        return self.trajectory

    async def end_async(self) -> Trajectory:
        """Do as `end`."""
        return await call_in_thread(self.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_async()

    def __del__(self) -> None:
        # Nobody can end it any more, and until it is ended it holds the record and the agent.
        core = getattr(self, "_core", None)
        if core is not None and not core.ended and not sys.is_finalizing():
            log.warning("session %s was dropped without end(); ending it", core.info.session_id)
            threading.Thread(target=core.end_unattended, name="caw-end", daemon=True).start()

    def __repr__(self) -> str:
        """Show the id and the provider; the resume key is a secret."""
        return f"<Session {self.session_id} of {self.provider}, {self.trajectory.num_turns} turns>"
