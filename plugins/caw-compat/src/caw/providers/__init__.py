"""Providers of caw-core behind the wrapper's `caw.provider.Provider`."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from caw.models import InteractiveResult, MCPServer, ModelTier, ToolGroup, Trajectory, Turn
from caw.provider import Provider, ProviderSession
from caw_core.errors import LimitError

if TYPE_CHECKING:
    from caw.health import AuthSignal
    from caw.session import Session
    from caw_core.provider import ProviderInfo

__all__ = ["CoreProvider", "CoreProviderSession"]

UNKNOWN_WAIT_MINUTES = 60
"""What is said of a limit whose end the service did not name, as in the wrapper."""


class CoreProvider(Provider):
    """Any provider of caw-core.

    Args:
        core_name: its name there; a derived class may state it instead.
    """

    core_name: ClassVar[str] = ""

    def __init__(self, core_name: str = "") -> None:
        self._core_name = core_name or self.core_name

    @property
    def name(self) -> str:
        """The provider's canonical name."""
        return self._core_name

    @property
    def info(self) -> ProviderInfo:
        """What caw-core knows of it."""
        from caw_core import Agent

        return Agent(self._core_name).provider_info

    def start_session(self, mcp_servers: list[MCPServer], **kwargs: Any) -> CoreProviderSession:
        """Open a conversation; *kwargs* as for `caw.Agent.start_session`."""
        return CoreProviderSession(self._agent(mcp_servers).start_session(**kwargs))

    def resume_session(
        self,
        mcp_servers: list[MCPServer],
        *,
        session_id: str,
        resume_key: str,
        trajectory: Trajectory | None = None,
        **kwargs: Any,
    ) -> CoreProviderSession:
        """Continue a conversation."""
        from caw_core.handles import ResumeHandle

        handle = ResumeHandle(provider=self.name, session_id=session_id, resume_key=resume_key)
        if trajectory is not None:
            kept = {"system_prompt": trajectory.system_prompt, "reasoning": trajectory.reasoning}
            kwargs = {**{name: value for name, value in kept.items() if value}, **kwargs}
        return CoreProviderSession(
            self._agent(mcp_servers).resume_session(handle.encode(), **kwargs)
        )

    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the key that the wrapper's records hold for this provider."""
        from caw.from_core import RESUME_KEYS

        if self.name in RESUME_KEYS:
            return trajectory.metadata.get(RESUME_KEYS[self.name]) or None
        return trajectory.session_id or None

    def start_interactive(
        self,
        initial_prompt: str,
        mcp_servers: list[MCPServer],
        capture_bytes: int = 0,
        **kwargs: Any,
    ) -> InteractiveResult:
        """Hand the terminal to the agent's own interface."""
        agent = self._agent(mcp_servers)
        result: InteractiveResult = agent.interactive(initial_prompt, capture_bytes, **kwargs)
        return result

    def resolve_model(self, tier: ModelTier) -> str | None:
        """Return the model that is configured for a tier."""
        from caw.config import get_model

        return get_model(self.name, tier)

    def resolve_tool_restrictions(self, tools: ToolGroup) -> dict[str, Any]:
        """Return the groups as `start_session` takes them."""
        return {"tools": tools}

    @property
    def binary_name(self) -> str:
        """The program's name; the provider's for one without a program."""
        return self.info.program or self.name

    def find_binary(self) -> str | None:
        """Return the program's path, or None."""
        from caw_core import Agent

        return Agent(self._core_name).check_ready().program_path or None

    def check_auth(self) -> AuthSignal | None:
        """Say what can be seen of credentials, without network."""
        from caw.health import auth_signal

        return auth_signal(self.name)

    def check_limit(self, model: str | None = None) -> int | None:
        """Send one small prompt; return how many minutes to wait for a usage limit, or None.

        Raises:
            RuntimeError: the agent answered with another failure.
        """
        from caw_core import Agent

        health = Agent(self._core_name, model=model, auto_wait=False).check_health(live=True)
        if isinstance(health.error, LimitError):
            return minutes_until(health.error)
        if health.error is not None:
            raise health.error
        return None

    def _agent(self, mcp_servers: list[MCPServer]) -> Any:
        from caw.agent import Agent

        agent = Agent(self._core_name)
        for server in mcp_servers:
            agent.add_mcp_server(server)
        return agent


class CoreProviderSession(ProviderSession):
    """A session of caw-core as a provider's session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def send(self, message: str) -> Turn:
        """Send a message and return the turn."""
        return self._session.send(message)

    def end(self) -> Trajectory:
        """End the session."""
        return self._session.end()

    @property
    def trajectory(self) -> Trajectory:
        """The record so far."""
        return self._session.trajectory

    @property
    def session_id(self) -> str | None:
        """Caw's id."""
        return self._session.core.session_id

    @property
    def resume_key(self) -> str | None:
        """The agent's key, once it gave one."""
        return self._session.core.info.resume_key


def minutes_until(error: LimitError) -> int:
    """Return how many minutes there are until a limit ends, at least 1."""
    if error.resets_at is None:
        return UNKNOWN_WAIT_MINUTES
    seconds = (error.resets_at - datetime.now(UTC)).total_seconds()
    return max(1, math.ceil(seconds / 60))
