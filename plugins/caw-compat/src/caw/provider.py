"""The base classes of providers as the wrapper has them.

A class derived from `Provider` goes on working after `caw.register_provider`: `caw.adapted` makes a
provider of caw-core of it. New providers are better written for `caw_core.hookspecs`, which gives
them live events, interrupts, permissions and steering.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from caw.models import (
    ContentBlock,
    InteractiveResult,
    MCPServer,
    ModelTier,
    ToolGroup,
    Trajectory,
    Turn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw.health import AuthSignal, ProviderHealth
    from caw.logger import AgentLogger

__all__ = ["Provider", "ProviderSession"]


class ProviderSession(ABC):
    """One conversation with an agent."""

    @abstractmethod
    def send(self, message: str) -> Turn:
        """Send a message and return the turn."""

    @abstractmethod
    def end(self) -> Trajectory:
        """Let go of everything and return the record."""

    @property
    @abstractmethod
    def trajectory(self) -> Trajectory:
        """The record so far."""

    def detect_usage_limit(self, turn: Turn) -> int | None:  # noqa: ARG002 - for those who override
        """Return how many minutes to wait if *turn* says that a usage limit is reached."""
        return None

    @property
    def session_id(self) -> str | None:
        """The provider's id of the session, if it has one."""
        return None

    @property
    def resume_key(self) -> str | None:
        """What continues the conversation in another process; None until the agent gave it."""
        return None

    def _restore_from_trajectory(self, trajectory: Trajectory) -> None:
        # A derived class's resume_session calls it; these names are what the wrapper promised.
        self._turns = list(trajectory.turns)
        self._total_usage = trajectory.usage
        self._total_duration_ms = trajectory.duration_ms
        if trajectory.created_at:
            self._created_at = trajectory.created_at
        self._has_sent = True

    @property
    def last_raw_output(self) -> str | None:
        """What the program wrote in the last turn, where that is known."""
        return None

    def set_step_callback(  # noqa: B027 - who has no steps need not care
        self, callback: Callable[[list[ContentBlock]], None] | None
    ) -> None:
        """Have *callback* called in `send` with all blocks of the turn whenever there are more."""

    def set_logger(self, logger: AgentLogger | None) -> None:  # noqa: B027 - likewise
        """Have a line written for each thing that happens."""


class Provider(ABC):
    """One kind of agent."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that records and handles carry."""

    @abstractmethod
    def start_session(self, mcp_servers: list[MCPServer], **kwargs: Any) -> ProviderSession:
        """Open a conversation.

        Args:
            mcp_servers: tool servers; ``headers`` of one must be sent with each request to it.
            **kwargs: ``model``, ``system_prompt``, ``reasoning``, ``session_id`` where given, and
                what `resolve_tool_restrictions` returned.
        """

    def resume_session(
        self,
        mcp_servers: list[MCPServer],
        *,
        session_id: str,
        resume_key: str,
        trajectory: Trajectory | None = None,
        **kwargs: Any,
    ) -> ProviderSession:
        """Continue a conversation.

        Args:
            mcp_servers: as for `start_session`.
            session_id: caw's id.
            resume_key: as `ProviderSession.resume_key` was.
            trajectory: the record so far, where there is one.
            **kwargs: as for `start_session`.
        """
        del mcp_servers, session_id, resume_key, trajectory, kwargs
        message = f"{self.name} provider does not support resuming sessions."
        raise NotImplementedError(message)

    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:  # noqa: ARG002 - for those who override
        """Read from a stored record what `resume_session` needs."""
        return None

    def start_interactive(
        self,
        initial_prompt: str,
        mcp_servers: list[MCPServer],
        capture_bytes: int = 0,
        **kwargs: Any,
    ) -> InteractiveResult:
        """Hand the terminal to the agent's own interface."""
        del initial_prompt, mcp_servers, capture_bytes, kwargs
        message = f"{self.name} provider does not support interactive mode."
        raise NotImplementedError(message)

    # ------------------------------------------------------------------------------ settings

    def resolve_model(self, tier: ModelTier) -> str | None:
        """Return the model for a tier; None for the agent's own default."""
        message = (
            f"{self.name} provider does not implement resolve_model(); "
            f"pass a model's name instead of ModelTier.{tier.name}"
        )
        raise NotImplementedError(message)

    def resolve_tool_restrictions(self, tools: ToolGroup) -> dict[str, Any]:  # noqa: ARG002 - for those who override
        """Return keyword arguments for `start_session` that restrict the agent to *tools*."""
        return {}

    # -------------------------------------------------------------------------------- health

    @property
    def binary_name(self) -> str:
        """The program's name."""
        return self.name

    def find_binary(self) -> str | None:
        """Return the program's path, or None."""
        return shutil.which(self.binary_name)

    def check_auth(self) -> AuthSignal | None:
        """Say what can be seen of credentials; None if that cannot be said."""
        return None

    def check_limit(self, model: str | None = None) -> int | None:
        """Send one small prompt; return how many minutes to wait for a usage limit, or None."""
        session = self.start_session(
            mcp_servers=[], model=model, system_prompt="Reply with the single word: ok"
        )
        try:
            return session.detect_usage_limit(session.send("ok?"))
        finally:
            session.end()

    def check_health(self, *, live: bool = False, model: str | None = None) -> ProviderHealth:
        """Say how the provider is.

        Args:
            live: also send one small prompt, which spends tokens.
            model: for that prompt.
        """
        from caw.health import ProviderHealth

        path = self.find_binary()
        health = ProviderHealth(
            provider=self.name,
            installed=path is not None,
            binary_path=path,
            auth=self.check_auth(),
        )
        if live and path is not None:
            health.probed = True
            try:
                health.wait_minutes = self.check_limit(model=model)
                health.rate_limited = health.wait_minutes is not None
            except Exception as error:  # noqa: BLE001 - what is wrong is the answer here
                health.error = str(error)
        return health
