"""`Agent`: what to run, how, and where to keep the record."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from caw_core.chosen_plugins import ChosenPlugins
from caw_core.errors import ConfigError
from caw_core.fallback import Fallback
from caw_core.health import Health, probe
from caw_core.log_fields import LogFields
from caw_core.provider import NativeSession, ProviderInfo, Readiness
from caw_core.redaction import LogGuard
from caw_core.registry import PluginRegistry, default_registry
from caw_core.resuming import plugins_of, resumable
from caw_core.session import Session
from caw_core.settings import AgentOptions, Settings
from caw_core.trajectory import Trajectory
from caw_core.twins import call_in_thread, call_or_discard

if TYPE_CHECKING:
    import os

    from caw_core.interactive import InteractiveResult
    from caw_core.provider_order import OrderItem

log = logging.getLogger("caw.agent")
# A library is quiet until its user asks: see docs/reference for the loggers below "caw".
logging.getLogger("caw").addHandler(LogGuard())
logging.getLogger("caw").addHandler(LogFields())


class Agent:
    """A coding agent with its settings; opens sessions with it.

    Making one starts nothing. All arguments but the first are keywords.

    Args:
        provider: the provider's name, or an order: a sequence of names, or pairs of a name and the
            model to use there, of which the first that is ready is taken. None (or ``"auto"``) for
            the order of `caw_core.set_provider_order`, else the names in ``CAW_PROVIDER``, else the
            first installed provider that is ready, the local model last. If that one cannot be
            started, is not logged in or is limited before anything was done, a new session goes on
            with the next one; see docs/how-to/choose-a-provider.md.
        model: the model's name in the provider's words; default ``CAW_MODEL``, else the agent's.
            A `caw_core.ModelTier` takes the provider's model for that purpose. Of several
            providers, a name is the first one's, and a tier all have.
        reasoning: the effort in the provider's words; default ``CAW_EFFORT``, else the agent's.
        system_prompt: holds on every turn, also after a resume.
        cwd: the folder in which the agent works; default the current one.
        additional_dirs: folders besides ``cwd`` that the agent may work in.
        env: variables to set for the agent's program; None as a value takes one away.
        data_dir: a folder for records; the same as ``storage="jsonl:///that/folder"``.
        storage: a storage URL, a storage plugin, or a sequence of these. A record is read from the
            first one that has it and written to all.
        mirrors: storages as for ``storage``, which are written too, behind the turns: they may lag
            or be down, and are never read; ``caw sessions repair`` gives them what they lack.
        storage_retry: how often a storage that fails is asked again, see
            `caw_core.storage_retry.StorageRetry`.
        metadata: your own data for the record; JSON-ready.
        permissions: what the agent may do without asking: ``"read-only"``, ``"ask"``,
            ``"auto-edit"`` or ``"full"``; see `caw_core.provider.Permissions`.
        on_permission: a function that answers the agent's requests for permission, see
            `caw_core.permissions`; without one the answer is no. It may block.
        tools: the kinds of tools that the agent may have, as an allow-list; default all.
        mcp_servers: servers of further tools, see `caw_core.mcp.McpServer`.
        stateless_tools: functions that the agent may call, with types and docstrings; needs the
            distribution ``caw-tools``, see docs/how-to/write-tools-in-python.md.
        tool_servers: toolkits (`caw_tools.ToolKit`) that it may call: an instance is shared by all
            sessions, of a class each session gets an instance of its own.
        subagents: agents that it may call as tools, see `caw_core.AgentSpec`; needs ``caw-tools``.
        max_subagent_depth: how many levels of subagents there may be below a session; default 3.
            At the last one, no subagent is offered.
        temperature: sampling temperature, for providers that have it.
        max_tokens: bound on the tokens per answer, for providers that have it.
        max_turns: bound on the model calls in one turn.
        budget: bound on what a session uses, see `caw_core.budget.Budget`.
        auto_wait: when the service says that a usage limit is reached, wait until it ends and go
            on in the same turn; default yes, unless ``CAW_AUTOWAIT=0``.
        deadlines: how long things may take.
        options: options of this provider alone; `ProviderInfo.extra_options` names them.
        keep_raw: keep the agent's raw output with each turn, all of it.
        keep_output: how many characters of the agent's output a turn keeps, about, in memory and
            in the record; at least 10,000; default all. When there is more, older blocks lose
            their middle and then go, a long text or output keeps its beginning and end, and
            ``extra["left_out"]`` of the block or the turn says how much. A stream's reader gets
            every event in full.
        strict: raise before anything is started if the provider cannot honour an option; otherwise
            such an option is named in a notice and in `Turn.options`.
        display: shows sessions on stderr as they go: ``"full"``, ``"short"``, ``"result"``,
            ``"off"``, a `caw_core.Display`, or an object of your own with the methods of
            `caw_core.listeners.TurnListener`; default what `caw_core.set_global_display` was
            given, else what ``CAW_LOG`` says when a session opens, else none.
        logger: is told a line per event: an object with ``info``, ``warn`` (or ``warning``) and
            ``error``, or a `logging.Logger`; see `caw_core.event_log.AgentLogger`.
        registry: where to find plugins; default those installed and registered.

    Raises:
        ConfigError: an argument is unknown or makes no sense, or the provider does not exist.
    """

    def __init__(
        self,
        provider: str | Sequence[OrderItem] | None = None,
        *,
        registry: PluginRegistry | None = None,
        **settings: Unpack[AgentOptions],
    ) -> None:
        if registry is not None and not isinstance(registry, PluginRegistry):
            msg = f"registry is a PluginRegistry, not {type(registry).__name__}"
            raise ConfigError(msg)
        self._settings = Settings.checked(settings)
        self._plugins = ChosenPlugins(registry or default_registry(), provider, self._settings)

    # --------------------------------------------------------------------------- what it is

    def __repr__(self) -> str:
        # Whom it takes, as far as that is chosen; nothing of env, options and servers: secrets.
        chosen = self._plugins.name or self._plugins.wanted or "auto"
        given = self._settings.given
        shown = {"model": given.get("model"), "cwd": str(given.get("cwd", ""))}
        facts = "".join(f", {name}={value!r}" for name, value in shown.items() if value)
        return f"Agent({chosen!r}{facts})"

    @property
    def provider_info(self) -> ProviderInfo:
        """What the chosen provider says about itself; chooses and loads it if need be."""
        return self._plugins.chosen.info

    @property
    def provider(self) -> str:
        """The chosen provider's canonical name."""
        return self.provider_info.name

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Why those were not taken that might have been before the chosen one; chooses if need be.

        New sessions tell of it in their first turn, too.
        """
        return tuple(map(str, self._plugins.choice.passed_over))

    def check_ready(self) -> Readiness:
        """Say whether a session could start now; no network, no cost."""
        own = self._plugins.settings_for(self._plugins.chosen).settings
        return self._plugins.chosen.check_ready(own.given.get("env", {}), own.extra)

    # ----------------------------------------------------------------------------- sessions

    def start_session(
        self,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Open a new session.

        Args:
            session_id: an id of your own: letters, digits, ``. _ -``, at most 128; default a UUID.
            metadata: added to the agent's own for this session.

        Raises:
            ConfigError: an option is not supported, or the folder does not exist.
            PluginError: the provider is broken.
            ProviderError: the agent could not be started.
            SessionBusyError: another process writes a session of that id.
            PersistError: a storage refused; nothing was started.
        """
        return Fallback(self._plugins).start(session_id, metadata)

    def resume_session(
        self,
        resume_handle: str | NativeSession,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Continue a session, perhaps in another process and another day.

        With a storage that has the record, the history is restored and new turns are appended.
        Without one the conversation continues all the same and the record starts empty.

        Args:
            resume_handle: what `Session.resume_handle` gave; with a storage a bare session id too;
                or one of `find_sessions`, whose history is read into the record.
            metadata: added to the record's.

        Raises:
            ResumeHandleError: the handle cannot be used; no program was started.
            StorageError: the record could not be read, which does not mean that there is none.
            NotResumableError: the agent no longer has the conversation.
            SessionBusyError: another process has the session open.
            ConfigError, PluginError, ProviderError, PersistError: as for `start_session`.
        """
        if isinstance(resume_handle, NativeSession):
            plugins = plugins_of(self._plugins, resume_handle.provider)
            return self._plugins.opener(plugins).take_over(resume_handle, metadata)
        found = resumable(self._plugins, self._settings, resume_handle)
        return self._plugins.opener(found.plugins).resume(found.session_id, found.key, metadata)

    def completion(self, prompt: str, *, metadata: Mapping[str, Any] | None = None) -> Trajectory:
        """Open a session, send one message, end the session, and return its record.

        Args:
            prompt: the message.
            metadata: added to the agent's own.

        Raises:
            As `start_session` and `Session.send` do.
        """
        with self.start_session(metadata=metadata) as session:
            session.send(prompt)
        return session.trajectory

    async def start_session_async(
        self,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Do as `start_session`."""
        start = functools.partial(self.start_session, session_id=session_id, metadata=metadata)
        return await call_or_discard(start, Session.end)

    async def resume_session_async(
        self,
        resume_handle: str | NativeSession,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Do as `resume_session`."""
        resume = functools.partial(self.resume_session, resume_handle, metadata=metadata)
        return await call_or_discard(resume, Session.end)

    async def completion_async(
        self,
        prompt: str,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Trajectory:
        """Do as `completion`. Cancelling the task interrupts the turn."""
        session = await self.start_session_async(metadata=metadata)
        async with session:
            await session.send_async(prompt)
        return session.trajectory

    # --------------------------------------------------------------------- the agent's own face

    def interactive(
        self,
        prompt: str = "",
        capture_bytes: int = 0,
        *,
        select_provider: bool = False,
        resume: str | NativeSession | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> InteractiveResult:
        """Hand the terminal to the agent's own user interface until the user leaves it.

        What was said there is then in the record, if there is a storage and the provider can read
        it; the result's ``resume_handle`` continues the conversation.

        Args:
            prompt: the first prompt, which the agent sends by itself; ``""`` for none.
            capture_bytes: how many bytes of what the terminal shows are kept, from its end; 0 for
                all, up to 16 MiB.
            select_provider: let the user choose among the installed agents, in a menu, whichever
                provider this agent has. Who cancels gets a result with exit code 130.
            resume: the conversation to continue, as for `resume_session`.
            metadata: added to the record's.

        Raises:
            NoTerminalError: stdin and stdout are no terminal; nothing was started.
            NotReadyError: *select_provider*, and no agent that has such an interface is installed.
            UnsupportedError: the provider's agent has none, or this is Windows.
            ConfigError, PluginError, ProviderError, SessionBusyError: as for `resume_session`.
            PersistError: the conversation took place, and a storage did not take its record.
        """
        from caw_core.interactive_run import Asked, hold
        from caw_core.terminal.ending import Ending

        asked = Asked(
            prompt=prompt,
            capture_bytes=capture_bytes,
            select_provider=select_provider,
            resume=resume,
            metadata=metadata,
        )
        return hold(self._plugins, self._settings, asked, Ending())

    async def interactive_async(
        self,
        prompt: str = "",
        capture_bytes: int = 0,
        *,
        select_provider: bool = False,
        resume: str | NativeSession | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> InteractiveResult:
        """Do as `interactive`. Cancelling the task ends the agent and gives the terminal back."""
        from caw_core.interactive_run import Asked, hold_async

        asked = Asked(
            prompt=prompt,
            capture_bytes=capture_bytes,
            select_provider=select_provider,
            resume=resume,
            metadata=metadata,
        )
        return await hold_async(self._plugins, self._settings, asked)

    # ----------------------------------------------------------------------- the agent itself

    def check_health(self, *, live: bool = False) -> Health:
        """Say how the provider is: program, version, credentials; no network and no cost.

        Args:
            live: also send one small prompt, which spends tokens, and say what came of it.
        """
        readiness = self.check_ready()
        if not live or not readiness.ready:
            return Health(provider=self.provider, readiness=readiness)
        return probe(self, readiness)

    async def check_health_async(self, *, live: bool = False) -> Health:
        """Do as `check_health`."""
        return await call_in_thread(self.check_health, live=live)

    def find_sessions(self, cwd: str | os.PathLike[str] | None = None) -> list[NativeSession]:
        """List the conversations in the agent's own store, newest first.

        Those that a user held in the agent's own interface are among them; `resume_session` takes
        one over.

        Args:
            cwd: the folder in which they were held; default the agent's.

        Raises:
            UnsupportedError: the provider cannot list them.
        """
        own = self._plugins.settings_for(self._plugins.chosen).settings
        folder = Path(cwd).expanduser().absolute() if cwd is not None else own.given.get("cwd")
        env = own.given.get("env", {})
        return self._plugins.chosen.find_sessions(folder or Path.cwd(), env, own.extra)

    async def find_sessions_async(
        self,
        cwd: str | os.PathLike[str] | None = None,
    ) -> list[NativeSession]:
        """Do as `find_sessions`."""
        return await call_in_thread(self.find_sessions, cwd)

    # ------------------------------------------------------------------------------ records

    def load_trajectory(self, session_id: str) -> Trajectory | None:
        """Read a session's record from the storages without opening it.

        Returns:
            The record, or None if no storage has the session.

        Raises:
            StorageError: a storage could not tell.
        """
        return self._plugins.store.load(session_id)

    async def load_trajectory_async(self, session_id: str) -> Trajectory | None:
        """Do as `load_trajectory`."""
        return await call_in_thread(self.load_trajectory, session_id)
