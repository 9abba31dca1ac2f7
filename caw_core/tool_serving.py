"""Tools in Python for a session: what the caller gave, who serves them, when they come and go.

The core knows no more of them than that they become `caw_core.mcp.McpServer` values: a plugin
answers the hook `caw_core.hookspecs.ObserverSpecs.serve_tools`, e.g. that of ``caw-tools``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, runtime_checkable

import attrs

from caw_core.errors import ConfigError
from caw_core.redaction import session_secrets

if TYPE_CHECKING:
    from caw_core.agent_spec import AgentSpec
    from caw_core.children import Subagents
    from caw_core.deadlines import Deadlines
    from caw_core.mcp import McpServer
    from caw_core.permissions import PermissionDesk
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import StartRequest
    from caw_core.redaction import Redactor

INSTALL_HINT: Final = 'nothing here can serve tools in Python: pip install "caw-core[tools]"'

LOOPBACK: Final = "127.0.0.1"

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@attrs.frozen(kw_only=True)
class GivenTools:
    """What `caw_core.Agent` was given as tools in Python; falsy if that is nothing.

    Attributes:
        functions: plain functions, which share a server.
        servers: toolkits, instances and classes, each of which is a server of its own.
        subagents: agents that are tools.
    """

    functions: tuple[Callable[..., Any], ...] = ()
    servers: tuple[Any, ...] = ()
    subagents: tuple[AgentSpec, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to serve."""
        return bool(self.functions or self.servers or self.subagents)


@attrs.frozen(kw_only=True)
class ToolScope:
    """The session for which tools are served.

    Attributes:
        provider: the provider's canonical name.
        request: what the provider is asked for, without the tools' own servers.
        redact: takes the session's secrets out of a text.
        subagents: runs those that its agent calls; None where none can run.
    """

    provider: str
    request: StartRequest = attrs.field(repr=False)
    redact: Callable[[str], str] = attrs.field(default=str, repr=False)
    subagents: Subagents | None = attrs.field(default=None, repr=False)

    @property
    def session_id(self) -> str:
        """Caw's id of the session."""
        return self.request.session_id

    @property
    def cwd(self) -> Path:
        """The folder in which the agent works."""
        return self.request.cwd

    @property
    def permission_desk(self) -> PermissionDesk:
        """Where requests for permission are brought."""
        return self.request.permission_desk

    @property
    def deadlines(self) -> Deadlines:
        """How long things may take."""
        return self.request.deadlines


@runtime_checkable
class ServedTools(Protocol):
    """The tools of one session while they can be called."""

    @property
    def servers(self) -> tuple[McpServer, ...]:
        """The servers to give to the provider; what opens them stands in their headers."""

    @property
    def running(self) -> bool:
        """Whether a call runs now, so that the agent's silence is ours."""

    def cancel_calls(self) -> None:
        """End the calls that run, since the turn was interrupted; returns at once."""

    def close(self) -> None:
        """End the calls that run and stop serving; idempotent, bounded in time."""


class OpenTools:
    """A session's tools, or none, between its opening and its end.

    Args:
        served: what a plugin serves; None where no tools were given.
    """

    def __init__(self, served: ServedTools | None = None) -> None:
        self._served = served

    @classmethod
    def open(
        cls,
        plugins: AgentPlugins,
        tools: GivenTools,
        request: StartRequest,
        redactor: Redactor,
        subagents: Subagents | None = None,
    ) -> Self:
        """Have the tools served for one session.

        Close the result when the session ends, also when it could not be opened.

        Args:
            plugins: one of them serves.
            tools: what the caller gave; with nothing in it, nothing is asked of anybody.
            request: what the provider will be asked for; see `added_to`.
            redactor: learns what opens the servers.
            subagents: runs those that are called; None where none can run, and none is offered.

        Raises:
            ConfigError: no plugin serves tools, or one of them is badly defined.
        """
        if subagents is None:
            tools = attrs.evolve(tools, subagents=())
        support = plugins.info.options.get("mcp_servers")
        if not tools or support is None or support.support == "unsupported":
            # That the tools have no effect is told with the options.
            return cls()
        scope = ToolScope(
            provider=plugins.info.name,
            request=request,
            redact=redactor.text,
            subagents=subagents,
        )
        served = plugins.serve_tools(tools, scope)
        redactor.add(*session_secrets({}, attrs.evolve(request, mcp_servers=served.servers), ()))
        return cls(served)

    def added_to(self, request: StartRequest) -> StartRequest:
        """Return *request* with the tools' servers.

        Raises:
            ConfigError: the caller gave a server of the same name.
        """
        added = self._served.servers if self._served is not None else ()
        taken = {server.name for server in request.mcp_servers} & {server.name for server in added}
        if taken:
            names = ", ".join(sorted(taken))
            msg = f"mcp_servers: the name {names} is that of a server of tools in Python, too"
            raise ConfigError(msg)
        return attrs.evolve(
            request,
            mcp_servers=(*request.mcp_servers, *added),
            env={**request.env, **_without_proxy(request.env)} if added else request.env,
        )

    def taken_from(self, request: StartRequest) -> StartRequest:
        """Return *request* as it was before `added_to`."""
        added = self._served.servers if self._served is not None else ()
        rest = tuple(server for server in request.mcp_servers if server not in added)
        return attrs.evolve(request, mcp_servers=rest)

    @property
    def running(self) -> bool:
        """Whether a call runs now."""
        return self._served is not None and self._served.running

    def cancel_calls(self) -> None:
        """End the calls that run; returns at once."""
        if self._served is not None:
            self._served.cancel_calls()

    def close(self) -> None:
        """Stop serving; idempotent."""
        if self._served is not None:
            self._served.close()


def _without_proxy(env: Mapping[str, str | None]) -> dict[str, str]:
    """Return what keeps a proxy from getting the requests to this machine, and their tokens.

    Args:
        env: the changes to the environment of the agent's program.
    """
    whole = {**os.environ, **env}
    if not any(whole.get(name) for name in (*_PROXIES, *map(str.lower, _PROXIES))):
        return {}
    said = whole.get("no_proxy") or whole.get("NO_PROXY") or ""
    hosts = [host for host in re.split(r"[,\s]+", said) if host]
    listing = ",".join(hosts if {"*", LOOPBACK} & set(hosts) else [*hosts, LOOPBACK])
    return {"no_proxy": listing, "NO_PROXY": listing}
