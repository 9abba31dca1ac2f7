"""All hooks of one agent, called through a typed front; nothing else calls any.

Those of storages and observers are in `caw_core.record_plugins`.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, cast

from caw_core.errors import ConfigError, PluginInvalidError, UnsupportedError
from caw_core.provider import ProviderSession, Readiness
from caw_core.record_plugins import RecordPlugins
from caw_core.storage_retry import ONCE, StorageRetry
from caw_core.tool_serving import INSTALL_HINT
from caw_core.usage import Price

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from caw_core.credentials import ContainerCredentials
    from caw_core.interactive import InteractiveRequest, InteractiveResult
    from caw_core.provider import NativeSession, ProviderInfo, ResumeRequest, StartRequest
    from caw_core.tool_serving import GivenTools, ServedTools, ToolScope
    from caw_core.trajectory import Trajectory
    from caw_core.usage import UsageStats

log = logging.getLogger("caw.plugins")


class AgentPlugins(RecordPlugins):
    """The plugins of one agent: its provider, its storages in order, and the observers.

    Args:
        provider_name: the name under which the provider was asked for.
        provider: the provider plugin.
        storages: as for `RecordPlugins`.
        observers: as for `RecordPlugins`.
        mirrors: as for `RecordPlugins`.
        retry: as for `RecordPlugins`.
    """

    def __init__(
        self,
        provider_name: str,
        provider: object,
        storages: Sequence[tuple[str, object]] = (),
        observers: Sequence[tuple[str, object]] = (),
        *,
        mirrors: Sequence[tuple[str, object]] = (),
        retry: StorageRetry = ONCE,
    ) -> None:
        super().__init__(
            storages, observers, (provider_name, provider), mirrors=mirrors, retry=retry
        )
        self.provider_name = provider_name
        self._pricing_failed = False

    @functools.cached_property
    def info(self) -> ProviderInfo:
        """What the provider says about itself."""
        return cast("ProviderInfo", self._hook.provider_info())

    def answers_to(self, name: str) -> bool:
        """Tell whether *name*, from a handle or a record, means this provider."""
        return name in {self.info.name, self.provider_name}

    def check_ready(
        self,
        env: Mapping[str, str | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Readiness:
        """Ask the provider whether it could start."""
        answer = self._hook.check_ready(env=env or {}, options=options or {})
        return Readiness(ready=True) if answer is None else cast("Readiness", answer)

    def container_credentials(
        self,
        env: Mapping[str, str | None] | None = None,
    ) -> ContainerCredentials | None:
        """Ask the provider what a container needs to be logged in; None if it cannot say."""
        answer = self._hook.container_credentials(env=env or {})
        return cast("ContainerCredentials | None", answer)

    def start_session(self, request: StartRequest) -> ProviderSession:
        """Have the provider open a session."""
        return self._session(self._hook.start_session(request=request), "start_session")

    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Have the provider continue a session."""
        return self._session(self._hook.resume_session(request=request), "resume_session")

    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        """Have the provider hand over the terminal."""
        answer = self._hook.start_interactive(request=request)
        if answer is None:
            raise self._unsupported("start_interactive")
        return cast("InteractiveResult", answer)

    def find_sessions(
        self,
        cwd: Path,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> list[NativeSession]:
        """Have the provider list the conversations in the agent's own store."""
        answer = self._hook.find_sessions(cwd=cwd, env=env, options=options)
        if answer is None:
            raise self._unsupported("find_sessions")
        return cast("list[NativeSession]", answer)

    def read_session(self, native: NativeSession, options: Mapping[str, Any]) -> Trajectory:
        """Have the provider read one of them into a record."""
        answer = self._hook.read_session(native=native, options=options)
        if answer is None:
            raise self._unsupported("read_session")
        return cast("Trajectory", answer)

    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Have the provider find the key in a record."""
        key = self._hook.resume_key_from_trajectory(trajectory=trajectory)
        return trajectory.resume_key if key is None else cast("str", key)

    def price_usage(self, model: str, usage: UsageStats) -> Price | None:
        """Ask the observers what *usage* costs; None where nobody knows or asking fails."""
        try:
            price = self._hook.price_usage(provider=self.info.name, model=model, usage=usage)
            if price is None or isinstance(price, Price):
                return price
            msg = f"price_usage returned {type(price).__name__}, which is no Price"
            raise TypeError(msg)
        except Exception as error:
            if not self._pricing_failed:
                self._pricing_failed = True
                log.warning("costs stay unknown: price_usage failed with %r", error, exc_info=True)
            return None

    def serve_tools(self, tools: GivenTools, scope: ToolScope) -> ServedTools:
        """Have an observer serve tools in Python for a session."""
        answer = self._hook.serve_tools(tools=tools, scope=scope)
        if answer is None:
            raise ConfigError(INSTALL_HINT)
        return cast("ServedTools", answer)

    def _session(self, answer: object, hook: str) -> ProviderSession:
        if answer is None:
            raise self._unsupported(hook)
        if not isinstance(answer, ProviderSession):
            problem = (
                f"{hook} returned {type(answer).__name__}, which lacks one of: "
                "resume_key, prompt, interrupt, close"
            )
            raise PluginInvalidError(self.provider_name, [problem])
        return answer

    def _unsupported(self, hook: str) -> UnsupportedError:
        what = hook.replace("_", " ")
        msg = f"the provider {self.provider_name!r} cannot {what}"
        return UnsupportedError(msg, provider=self.provider_name, options=(hook,))
