"""`Agent`: what to run, how, and where to keep the record."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from caw_core.chosen_plugins import ChosenPlugins
from caw_core.errors import ConfigError, NotResumableError, ResumeHandleError
from caw_core.handles import (
    ResumeHandle,
    check_resume_key,
    is_session_id,
    looks_like_handle,
)
from caw_core.health import Health, probe
from caw_core.opening import SessionOpener
from caw_core.provider import NativeSession, ProviderInfo, Readiness
from caw_core.redaction import LogGuard
from caw_core.registry import PluginRegistry, default_registry
from caw_core.session import Session
from caw_core.settings import AgentOptions, Settings
from caw_core.trajectory import Trajectory
from caw_core.twins import call_in_thread, call_or_discard

if TYPE_CHECKING:
    import os

    from caw_core.plugins import AgentPlugins

log = logging.getLogger("caw.agent")
# A library is quiet until its user asks: see docs/reference for the loggers below "caw".
logging.getLogger("caw").addHandler(LogGuard())


class Agent:
    """A coding agent with its settings; opens sessions with it.

    Making one starts nothing. All arguments but the first are keywords.

    Args:
        provider: the provider's name, a sequence of names of which the first that is ready is
            taken, or None (or ``"auto"``) for the names in ``CAW_PROVIDER``, else the first
            installed provider that is ready, the local model last.
        model: the model's name in the provider's words; default ``CAW_MODEL``, else the agent's.
            A `caw_core.ModelTier` takes the provider's model for that purpose.
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
        registry: where to find plugins; default those installed and registered.

    Raises:
        ConfigError: an argument is unknown or makes no sense, or the provider does not exist.
    """

    def __init__(
        self,
        provider: str | Sequence[str] | None = None,
        *,
        registry: PluginRegistry | None = None,
        **settings: Unpack[AgentOptions],
    ) -> None:
        names = [provider] if isinstance(provider, str) else provider
        if names is not None and not (
            isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names)
        ):
            msg = f"provider is a name, several names or None, not {provider!r}"
            raise ConfigError(msg)
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

    def check_ready(self) -> Readiness:
        """Say whether a session could start now; no network, no cost."""
        given = self._settings.given
        return self._plugins.chosen.check_ready(given.get("env", {}), self._settings.extra)

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
        return self._opener(self._plugins.chosen).start(session_id, metadata)

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
            plugins = self._plugins.of(resume_handle.provider)
            _check_provider(plugins, resume_handle.provider)
            return self._opener(plugins).take_over(resume_handle, metadata)
        handle, session_id = self._read_handle(resume_handle)
        if handle is None:
            record = self._stored(session_id)
            plugins = self._plugins.of(record.provider)
            key = _stored_key(plugins, record)
        else:
            plugins = self._plugins.of(handle.provider)
            key = handle.resume_key
            _check_provider(plugins, handle.provider)
        return self._opener(plugins).resume(session_id, key, metadata)

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
        given = self._settings.given
        folder = Path(cwd).expanduser().absolute() if cwd is not None else given.get("cwd")
        env = given.get("env", {})
        return self._plugins.chosen.find_sessions(folder or Path.cwd(), env, self._settings.extra)

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

    # ----------------------------------------------------------------------------- the steps

    def _opener(self, plugins: AgentPlugins) -> SessionOpener:
        return SessionOpener(plugins, self._settings)

    def _read_handle(self, text: object) -> tuple[ResumeHandle | None, str]:
        if not isinstance(text, str) or not text.strip():
            problem = "the handle is empty or no text"
            raise ResumeHandleError(problem)
        if not looks_like_handle(text):
            if not is_session_id(text.strip()):
                problem = "this is neither a handle nor a session id"
                raise ResumeHandleError(problem)
            if not self._settings.storage:
                problem = "a bare session id needs the storage that has the session"
                raise ResumeHandleError(problem)
            return None, text.strip()
        handle = ResumeHandle.decode(text)
        return handle, handle.session_id

    def _stored(self, session_id: str) -> Trajectory:
        record = self._plugins.store.load(session_id)
        if record is None:
            problem = f"no storage has a session {session_id!r}"
            raise ResumeHandleError(problem)
        return record


def _check_provider(plugins: AgentPlugins, provider: str) -> None:
    if not plugins.answers_to(provider):
        problem = f"it is of provider {provider!r}, this agent is {plugins.info.name!r}"
        raise ResumeHandleError(problem)


def _stored_key(plugins: AgentPlugins, record: Trajectory) -> str:
    _check_provider(plugins, record.provider)
    key = plugins.resume_key_from_trajectory(record)
    if not key:
        why = "" if record.turns else ": it had no turn yet"
        msg = f"the record of session {record.session_id!r} holds no resume key{why}"
        raise NotResumableError(msg, provider=record.provider, session_id=record.session_id)
    return check_resume_key(key)
