"""`Agent` as the wrapper has it, around caw-core's."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Final

from caw import config
from caw.display import unasked_display
from caw.from_core import core_server
from caw.logger import unlabelled
from caw.models import (
    AgentSpec,
    InteractiveResult,
    MCPServer,
    ModelTier,
    ToolGroup,
    Trajectory,
)
from caw.old_options import checked_options
from caw.registration import (
    DEFAULT_PROVIDER,
    installed_providers,
    register_provider,
    resolve_provider,
)
from caw.session import Session
from caw.subagents import core_spec
from caw_core import Agent as CoreAgent
from caw_core.errors import ResumeHandleError
from caw_core.handles import is_session_id
from caw_core.provider_order import get_provider_models, get_provider_order, set_provider_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw.health import ProviderHealth
    from caw.logger import AgentLogger
    from caw.provider import Provider

__all__ = [
    "DEFAULT_PROVIDER",
    "Agent",
    "Session",
    "get_provider_models",
    "get_provider_order",
    "installed_providers",
    "register_provider",
    "set_provider_order",
]

_CLAUDE: Final = frozenset({"claude_code", "claude", "cc"})
_PROMPT_MODE: Final = "system_prompt_mode"


class SessionNotFoundError(ResumeHandleError, FileNotFoundError):
    """A bare session id was given, and no record of it is there."""


class Agent:
    """A coding agent with its settings.

    Args:
        provider: a name; a list of names, tried in order; or None (or ``"auto"``) for the order of
            `caw.set_provider_order`, else ``CAW_PROVIDER``, else ``claude_code``.
        data_dir: a folder for records.
        system_prompt: holds on every turn.
        model: its name or a `caw.ModelTier`; default ``CAW_MODEL``, else the agent's.
        reasoning: the effort; default ``CAW_EFFORT``, else the agent's.
        tools: the kinds of tools that it may have; default all but questions to a person.
        tool_servers: `caw.ToolKit` instances and `caw.MCPServerHandle` values.
        stateless_tools: functions that it may call.
        name: for a subagent made of this agent, see `get_spec`.
        description: likewise.
        logger: gets one line for each thing that happens.
        **kwargs: any other option of `caw_core.Agent`, and ``auto_wait``. ``permissions`` is
            ``"full"`` by default here, as it always was in the wrapper.

    Raises:
        ValueError: an option is unknown; the message names those that there are.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the wrapper's signature
        self,
        provider: str | list[str] | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        system_prompt: str | None = None,
        model: str | ModelTier | None = None,
        reasoning: str | None = None,
        tools: ToolGroup | None = None,
        tool_servers: list[Any] | None = None,
        stateless_tools: list[Any] | None = None,
        name: str = "",
        description: str = "",
        logger: AgentLogger | None = None,
        **kwargs: Any,
    ) -> None:
        self._provider = provider
        self._name = name
        self._description = description
        self._mcp_servers: list[MCPServer] = []
        self._tool_servers: list[Any] = []
        self._subagents: list[AgentSpec] = []
        self._metadata: dict[str, Any] = dict(kwargs.pop("metadata", None) or {})
        given = {
            "data_dir": data_dir or None,
            "system_prompt": system_prompt,
            "model": model,
            "reasoning": reasoning,
            "tools": tools,
            "logger": logger,
        }
        self._settings = checked_options(
            {**kwargs, **{key: value for key, value in given.items() if value is not None}}
        )
        self._core: tuple[dict[str, Any], CoreAgent] | None = None
        for server in tool_servers or ():
            self.add_tool_server(server)
        if stateless_tools:
            from caw.mcp import create_stateless_tool_server

            self._tool_servers.append(create_stateless_tool_server(stateless_tools))

    # ----------------------------------------------------------------------------- settings

    def set_provider(self, provider: str | list[str]) -> None:
        """Take another provider for sessions from now on."""
        self._provider = provider

    def set_model(self, model: str | ModelTier) -> None:
        """Take another model for sessions from now on."""
        self._settings["model"] = model

    def set_reasoning(self, reasoning: str) -> None:
        """Take another effort for sessions from now on."""
        self._settings["reasoning"] = reasoning

    def set_system_prompt(self, system_prompt: str) -> None:
        """Take another system prompt for sessions from now on."""
        self._settings["system_prompt"] = system_prompt

    def set_tools(self, tools: ToolGroup) -> None:
        """Allow other kinds of tools from now on."""
        self._settings["tools"] = tools

    def add_mcp_server(self, server: MCPServer) -> None:
        """Give the agent a tool server."""
        self._mcp_servers.append(server)

    def add_tool_server(self, handle: Any) -> None:
        """Give the agent tools in Python: a `caw.ToolKit` instance or a `caw.MCPServerHandle`."""
        self._tool_servers.append(handle)

    def add_subagent(self, spec: AgentSpec) -> None:
        """Give the agent a subagent, which it calls as a tool of that name."""
        self._subagents.append(spec)

    @property
    def mcp_servers(self) -> list[MCPServer]:
        """The tool servers that it was given."""
        return list(self._mcp_servers)

    @property
    def metadata(self) -> dict[str, Any]:
        """Data for the record of every session; change it as you like."""
        return self._metadata

    @property
    def provider(self) -> Provider:
        """The provider; of several, the first one whose program is here, else the first one."""
        names = self._order()
        found = (resolve_provider(name) for name in names)
        return next((each for each in found if each.find_binary()), resolve_provider(names[0]))

    def get_spec(self) -> AgentSpec:
        """Return the settings as those of a subagent."""
        return AgentSpec(
            name=self._name,
            description=self._description,
            system_prompt=self._settings.get("system_prompt", ""),
            model=self._settings.get("model", ""),
            reasoning=self._settings.get("reasoning", ""),
            tools=self._settings.get("tools"),
            tool_servers=list(self._tool_servers),
            mcp_servers=list(self._mcp_servers),
            subagents=list(self._subagents),
            metadata=dict(self._metadata),
        )

    # ----------------------------------------------------------------------------- sessions

    def start_session(
        self, traj_path: str | os.PathLike[str] | None = None, **kwargs: Any
    ) -> Session:
        """Open a session.

        Args:
            traj_path: a file that the trajectory is written to after each turn and at the end.
            **kwargs: settings for this session over the agent's, ``metadata``, and ``session_id``
                for an id of your own.

        Raises:
            ValueError: an option is unknown or has no effect, or there is no such provider.
            RuntimeError: the agent could not be started.
        """
        metadata = {**self._metadata, **(kwargs.pop("metadata", None) or {})}
        session_id = kwargs.pop("session_id", None)
        core = self._core_agent(kwargs)
        session = core.start_session(session_id=session_id, metadata=metadata)
        return Session(session, mcp_servers=self._mcp_servers, traj_path=traj_path)

    def resume_session(self, resume_handle: str, **kwargs: Any) -> Session:
        """Continue a session, perhaps in another process.

        Args:
            resume_handle: what `caw.Session.resume_handle` gave, or with ``data_dir`` a session id.
            **kwargs: as for `start_session`.

        Raises:
            FileNotFoundError: a session id was given, and no record of it is there.
            ValueError: the handle cannot be used.
            RuntimeError: the agent no longer has the conversation, or somebody else holds it.
        """
        metadata = {**self._metadata, **(kwargs.pop("metadata", None) or {})}
        core = self._core_agent(kwargs)
        if isinstance(resume_handle, str) and is_session_id(resume_handle.strip()):
            keeps = {"data_dir", "storage"} & {*self._settings, *kwargs}
            if not keeps or core.load_trajectory(resume_handle.strip()) is None:
                where = "no storage has it" if keeps else "there is no data_dir to look in"
                problem = f"{resume_handle!r} is no handle but a session's id, and {where}"
                raise SessionNotFoundError(problem)
        session = core.resume_session(resume_handle, metadata=metadata)
        return Session(session, mcp_servers=self._mcp_servers)

    def completion(self, message: str, **kwargs: Any) -> Trajectory:
        """Open a session, send one message, end the session, and return its record."""
        with self.start_session(**kwargs) as session:
            session.send(message)
        return session.trajectory

    def interactive(
        self,
        initial_prompt: str,
        capture_bytes: int = 0,
        *,
        select_provider: bool = False,
        **kwargs: Any,
    ) -> InteractiveResult:
        """Hand the terminal to the agent's own interface until the user leaves it.

        Args:
            initial_prompt: the first prompt.
            capture_bytes: how much of the output's end to keep; 0 for all.
            select_provider: have the user choose among the installed providers first; exit code
                130 if they cancel.
            **kwargs: as for `start_session`.

        Raises:
            RuntimeError: there is no terminal, or no agent's program is installed.
        """
        # There is a person to ask, so the agent's own interface asks.
        changes = {"permissions": self._settings.get("permissions", "ask"), **kwargs}
        result = self._core_agent(changes).interactive(
            initial_prompt, capture_bytes=capture_bytes, select_provider=select_provider
        )
        return InteractiveResult(
            exit_code=result.exit_code,
            output=result.output,
            session_id=result.session_id,
            resume_handle=result.resume_handle,
        )

    # -------------------------------------------------------------------------------- health

    def check_limit(self) -> int | None:
        """Send one small prompt; return how many minutes to wait for a usage limit, or None."""
        warnings.warn(
            "use check_health(live=True), which also says what else is wrong",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.provider.check_limit(model=self._model_name())

    def check_health(self, live: bool = False) -> ProviderHealth:  # noqa: FBT001, FBT002 - the wrapper's signature
        """Say how the provider is; *live* also sends one small prompt, which spends tokens."""
        return self.provider.check_health(live=live, model=self._model_name())

    def _model_name(self) -> str | None:
        model = self._settings.get("model")
        return self.provider.resolve_model(model) if isinstance(model, ModelTier) else model

    # ------------------------------------------------------------------------- caw-core's agent

    def _order(self) -> list[str]:
        if self._provider is not None and self._provider != "auto":
            names = [self._provider] if isinstance(self._provider, str) else list(self._provider)
        else:
            named = os.environ.get("CAW_PROVIDER", "").split(",")
            names = get_provider_order() or [name.strip() for name in named if name.strip()]
        for name in names:
            # caw-core passes one by that is not installed, as it does with one that is not ready.
            resolve_provider(name)
        return names or [DEFAULT_PROVIDER]

    def _core_agent(self, changes: dict[str, Any]) -> CoreAgent:
        """Return an agent with the settings as they are now; the same one while they stay."""
        settings = {"permissions": "full", **self._settings, **checked_options(changes)}
        if settings.get("data_dir"):
            # The wrapper kept what the program wrote beside each turn.
            settings.setdefault("keep_raw", True)
        given = {
            **settings,
            **self._provider_and_model(settings.get("model")),
            "mcp_servers": [
                *map(core_server, self._mcp_servers),
                *settings.get("mcp_servers", ()),
            ],
            "tool_servers": [*self._tool_servers, *settings.get("tool_servers", ())],
            "subagents": [*map(core_spec, self._subagents), *settings.get("subagents", ())],
            "options": _options(settings, self._order()),
        }
        if settings.get("logger") is not None:
            given["logger"] = unlabelled(settings["logger"])
        display = unasked_display()
        if display is not None:
            given.setdefault("display", display)
        if self._core is None or self._core[0] != given:
            # Sessions of one agent share its program's process where the program can.
            self._core = (given, CoreAgent(**given))
        return self._core[1]

    def _provider_and_model(self, model: str | ModelTier | None) -> dict[str, Any]:
        pinned = self._provider if isinstance(self._provider, str) else None
        if pinned == "auto":
            pinned = None
        if isinstance(model, ModelTier) and config.is_wrappers():
            # caw-core does not look into the wrapper's file.
            names = [pinned] if pinned else self._order()
            models = [(name, config.get_model(name, model) or model) for name in names]
            return {"provider": pinned, "model": models[0][1]} if pinned else {"provider": models}
        return {"provider": pinned or self._order()}


def _options(settings: Mapping[str, Any], order: list[str]) -> dict[str, Any]:
    options = dict(settings.get("options") or {})
    if settings.get("system_prompt") and _PROMPT_MODE not in options:
        # The wrapper put it in the place of claude's own.
        for name in _CLAUDE.intersection(order):
            options[name] = {_PROMPT_MODE: "replace", **options.get(name, {})}
    return options
