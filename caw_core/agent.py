"""`Agent`: what to run, how, and where to keep the record."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never, get_args

import attrs

from caw_core.bounded import call_within
from caw_core.deadlines import Deadlines
from caw_core.errors import (
    ConfigError,
    NotResumableError,
    PersistError,
    ProviderError,
    ResumeHandleError,
    UnknownProviderError,
)
from caw_core.handles import (
    ResumeHandle,
    check_resume_key,
    check_session_id,
    is_session_id,
    looks_like_handle,
    new_session_id,
)
from caw_core.options import resolve_options, unknown_option
from caw_core.plugins import AgentPlugins
from caw_core.provider import (
    Permissions,
    ProviderInfo,
    ProviderSession,
    Readiness,
    ResumeRequest,
    StartRequest,
)
from caw_core.registry import PluginRegistry, default_registry
from caw_core.selection import choose_provider
from caw_core.session import Session
from caw_core.trajectory import SessionInfo, Trajectory
from caw_core.turn_run import utc_now
from caw_core.twins import call_in_thread, call_or_discard

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.storage import Lease

log = logging.getLogger("caw.agent")
# A library is quiet until its user asks: see docs/reference for the loggers below "caw".
logging.getLogger("caw").addHandler(logging.NullHandler())

OPTIONS = (
    "provider",
    "model",
    "reasoning",
    "system_prompt",
    "cwd",
    "env",
    "data_dir",
    "storage",
    "metadata",
    "permissions",
    "temperature",
    "max_tokens",
    "deadlines",
    "options",
    "keep_raw",
    "strict",
    "registry",
)


class Agent:
    """A coding agent with its settings; opens sessions with it.

    Making one starts nothing. All arguments but the first are keywords.

    Args:
        provider: the provider's name, a sequence of names of which the first that is ready is
            taken, or None (or ``"auto"``) for the names in ``CAW_PROVIDER``, else the first
            installed provider that is ready, the local model last.
        model: the model's name in the provider's words; default ``CAW_MODEL``, else the agent's.
        reasoning: the effort in the provider's words; default ``CAW_EFFORT``, else the agent's.
        system_prompt: holds on every turn, also after a resume.
        cwd: the folder in which the agent works; default the current one.
        env: variables to set for the agent's program; None as a value takes one away.
        data_dir: a folder for records; the same as ``storage="jsonl:///that/folder"``.
        storage: a storage URL, a storage plugin, or a sequence of these. A record is read from the
            first one that has it and written to all.
        metadata: your own data for the record; JSON-ready.
        permissions: what the agent may do without asking: ``"read-only"``, ``"ask"``,
            ``"auto-edit"`` or ``"full"``; see `caw_core.provider.Permissions`.
        temperature: sampling temperature, for providers that have it.
        max_tokens: bound on the tokens per answer, for providers that have it.
        deadlines: how long things may take.
        options: options of this provider alone; `ProviderInfo.extra_options` names them.
        keep_raw: keep the agent's raw output with each turn.
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
        model: str | None = None,
        reasoning: str | None = None,
        system_prompt: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        storage: object = None,
        metadata: Mapping[str, Any] | None = None,
        permissions: Permissions | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        deadlines: Deadlines | None = None,
        options: Mapping[str, Any] | None = None,
        keep_raw: bool = False,
        strict: bool = False,
        registry: PluginRegistry | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise unknown_option(unknown, OPTIONS, of="Agent")
        if permissions is not None and permissions not in get_args(Permissions):
            known = ", ".join(map(repr, get_args(Permissions)))
            msg = f"permissions is one of {known}, not {permissions!r}"
            raise ConfigError(msg)
        self._registry = registry or default_registry()
        self._wanted = provider
        self._deadlines = deadlines or Deadlines()
        self._extra = dict(options or {})
        self._keep_raw = keep_raw
        self._strict = strict
        self._storage = _storage_list(data_dir, storage)
        self._metadata = _check_metadata(metadata or {})
        self._cwd = Path(cwd).expanduser().absolute() if cwd is not None else None
        given: dict[str, Any] = {
            "model": model or os.environ.get("CAW_MODEL") or None,
            "reasoning": reasoning or os.environ.get("CAW_EFFORT") or None,
            "system_prompt": _check_text("system_prompt", system_prompt) or None,
            "cwd": self._cwd,
            "env": _check_env(env) if env else None,
            "permissions": permissions,
            "temperature": _check_number("temperature", temperature, float),
            "max_tokens": _check_number("max_tokens", max_tokens, int),
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        for name in [provider] if isinstance(provider, str) else provider or ():
            # A name that nothing answers to is told here, not when the first session opens.
            if name != "auto" and name not in self._registry.names("provider"):
                self._registry.load_provider(name)

    # --------------------------------------------------------------------------- what it is

    @functools.cached_property
    def _plugins(self) -> AgentPlugins:
        name, provider = choose_provider(self._registry, self._wanted)
        storages = [
            (item.partition(":")[0], self._registry.load_storage(item))
            if isinstance(item, str)
            else (type(item).__name__, item)
            for item in self._storage
        ]
        return AgentPlugins(name, provider, storages, self._registry.load_observers())

    @functools.cached_property
    def provider_info(self) -> ProviderInfo:
        """What the chosen provider says about itself; chooses and loads it if need be."""
        return self._plugins.provider_info()

    @property
    def provider(self) -> str:
        """The chosen provider's canonical name."""
        return self.provider_info.name

    def check_ready(self) -> Readiness:
        """Say whether a session could start now; no network, no cost."""
        return self._plugins.check_ready()

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
        new_id = new_session_id() if session_id is None else check_session_id(session_id)
        plugins = self._plugins
        options = resolve_options(self.provider_info, self._given, self._extra, strict=self._strict)
        request = self._request(new_id)
        leases = plugins.lease_session(new_id)
        try:
            if session_id is not None and plugins.load_trajectory(new_id) is not None:
                msg = f"there is a session {new_id!r} already; resume it, or choose another id"
                raise ConfigError(msg)
            info = self._head(request, metadata)
            return self._open(
                info,
                (),
                request,
                options,
                leases,
                lambda: plugins.start_session(request),
            )
        except BaseException:
            _release(leases)
            raise

    def resume_session(
        self,
        resume_handle: str,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Continue a session, perhaps in another process and another day.

        With a storage that has the record, the history is restored and new turns are appended.
        Without one the conversation continues all the same and the record starts empty.

        Args:
            resume_handle: what `Session.resume_handle` gave; with a storage a bare session id too.
            metadata: added to the record's.

        Raises:
            ResumeHandleError: the handle cannot be used; no program was started.
            StorageError: the record could not be read, which does not mean that there is none.
            NotResumableError: the agent no longer has the conversation.
            SessionBusyError: another process has the session open.
            ConfigError, PluginError, ProviderError, PersistError: as for `start_session`.
        """
        handle, session_id = self._read_handle(resume_handle)
        plugins = self._plugins
        options = resolve_options(self.provider_info, self._given, self._extra, strict=self._strict)
        leases = plugins.lease_session(session_id)
        try:
            record = plugins.load_trajectory(session_id)
            key = handle.resume_key if handle else self._stored_key(session_id, record)
            request = self._request(session_id, record)
            resume = _resume_request(request, key, record)
            info = self._head(request, metadata, record)
            info = attrs.evolve(info, resume_key=key)
            turns = record.turns if record else ()
            return self._open(
                info,
                turns,
                request,
                options,
                leases,
                lambda: plugins.resume_session(resume),
            )
        except BaseException:
            _release(leases)
            raise

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
        resume_handle: str,
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

    # ------------------------------------------------------------------------------ records

    def load_trajectory(self, session_id: str) -> Trajectory | None:
        """Read a session's record from the storages without opening it.

        Returns:
            The record, or None if no storage has the session.

        Raises:
            StorageError: a storage could not tell.
        """
        return self._plugins.load_trajectory(check_session_id(session_id))

    async def load_trajectory_async(self, session_id: str) -> Trajectory | None:
        """Do as `load_trajectory`."""
        return await call_in_thread(self.load_trajectory, session_id)

    # ----------------------------------------------------------------------------- the steps

    def _request(self, session_id: str, record: Trajectory | None = None) -> StartRequest:
        given = dict(self._given)
        if record is not None:
            # What the caller leaves open stays as it was when the conversation began.
            for name in ("model", "reasoning", "system_prompt", "permissions"):
                if getattr(record, name) and name not in given:
                    given[name] = getattr(record, name)
            if "cwd" not in given and record.cwd and Path(record.cwd).is_dir():
                given["cwd"] = Path(record.cwd)
        cwd = given.pop("cwd", None) or Path.cwd()
        if not cwd.is_dir():
            msg = f"cwd {str(cwd)!r} is not a folder"
            raise ConfigError(msg)
        return StartRequest(
            session_id=session_id,
            cwd=cwd,
            options=self._extra,
            deadlines=self._deadlines,
            keep_raw=self._keep_raw,
            **given,
        )

    def _head(
        self,
        request: StartRequest,
        metadata: Mapping[str, Any] | None,
        record: Trajectory | None = None,
    ) -> SessionInfo:
        before = dict(record.metadata) if record else {}
        return SessionInfo(
            session_id=request.session_id,
            provider=self.provider,
            model=request.model or "",
            created_at=record.created_at if record and record.created_at else utc_now(),
            system_prompt=request.system_prompt,
            reasoning=request.reasoning or "",
            cwd=str(request.cwd),
            permissions=request.permissions,
            metadata={**before, **self._metadata, **_check_metadata(metadata or {})},
            extra=record.extra if record else {},
        )

    def _open(  # noqa: PLR0913 - the parts of a session, put together once
        self,
        info: SessionInfo,
        turns: Sequence[Any],
        request: StartRequest,
        options: tuple[Any, ...],
        leases: Sequence[Lease],
        ask: Callable[[], ProviderSession],
    ) -> Session:
        plugins = self._plugins

        def reopen(key: str, record: Trajectory) -> ProviderSession:
            resume = _resume_request(request, key, record)
            return self._ask(info.session_id, lambda: plugins.resume_session(resume))

        agent_session = self._ask(info.session_id, ask)
        session = Session(
            plugins=plugins,
            agent_session=agent_session,
            reopen=reopen,
            info=info,
            turns=turns,
            request=request,
            options=options,
            leases=leases,
        )
        failures = session.recorder.record_head(session.info)
        if failures:
            agent_session.close()
            msg = "the session was not opened: a storage refused it"
            raise PersistError(msg, failures)
        return session

    def _ask(self, session_id: str, ask: Callable[[], ProviderSession]) -> ProviderSession:
        try:
            return call_within(self._deadlines.start, "start", ask, lambda late: late.close())
        except ProviderError as error:
            error.provider = error.provider or self.provider
            error.session_id = error.session_id or session_id
            raise

    def _read_handle(self, text: object) -> tuple[ResumeHandle | None, str]:
        if not isinstance(text, str) or not text.strip():
            problem = "the handle is empty or no text"
            raise ResumeHandleError(problem)
        if not looks_like_handle(text):
            if not is_session_id(text.strip()):
                problem = "this is neither a handle nor a session id"
                raise ResumeHandleError(problem)
            if not self._storage:
                problem = "a bare session id needs the storage that has the session"
                raise ResumeHandleError(problem)
            return None, text.strip()
        handle = ResumeHandle.decode(text)
        if handle.provider not in {self.provider, self._plugins.provider_name}:
            problem = (
                f"the handle is of provider {handle.provider!r}, this agent is {self.provider!r}"
            )
            raise ResumeHandleError(problem)
        return handle, handle.session_id

    def _stored_key(self, session_id: str, record: Trajectory | None) -> str:
        if record is None:
            problem = f"no storage has a session {session_id!r}"
            raise ResumeHandleError(problem)
        if record.provider not in {self.provider, self._plugins.provider_name}:
            problem = (
                f"session {session_id!r} is of provider {record.provider!r}, "
                f"this agent is {self.provider!r}"
            )
            raise ResumeHandleError(problem)
        key = self._plugins.resume_key_from_trajectory(record)
        if not key:
            msg = f"the record of session {session_id!r} holds no resume key: it had no turn yet"
            raise NotResumableError(msg, provider=self.provider, session_id=session_id)
        return check_resume_key(key)


def _resume_request(request: StartRequest, key: str, record: Trajectory | None) -> ResumeRequest:
    fields = {field.name: getattr(request, field.name) for field in attrs.fields(StartRequest)}
    return ResumeRequest(**fields, resume_key=key, trajectory=record)


def _release(leases: Sequence[Lease]) -> None:
    for lease in leases:
        lease.release()


def _storage_list(data_dir: str | os.PathLike[str] | None, storage: object) -> list[object]:
    items: list[object] = []
    if data_dir is not None:
        items.append(Path(data_dir).expanduser().absolute().as_uri().replace("file:", "jsonl:", 1))
    if isinstance(storage, list | tuple):
        items += storage
    elif storage is not None:
        items.append(storage)
    return items


def _check_text(name: str, value: object) -> Any:
    if value is not None and not isinstance(value, str):
        msg = f"{name} is a str, not {type(value).__name__}"
        raise ConfigError(msg)
    return value


def _check_number(name: str, value: object, kind: type[int | float]) -> Any:
    if value is None:
        return None
    fits = isinstance(value, int) if kind is int else isinstance(value, int | float)
    if isinstance(value, bool) or not fits or value < 0:  # type: ignore[operator]  # a number here
        msg = f"{name} is {'a whole' if kind is int else 'a'} number not below 0, not {value!r}"
        raise ConfigError(msg)
    return value


def _check_env(env: Mapping[str, str | None]) -> dict[str, str | None]:
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            msg = f"env: {name!r} is not a variable's name"
            raise ConfigError(msg)
        if value is not None and (not isinstance(value, str) or "\0" in value):
            # The value may be a secret, so it is not shown.
            msg = f"env: the value of {name!r} is not a str"
            raise ConfigError(msg)
    return dict(env)


def _check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(metadata))))
    except (TypeError, ValueError) as error:
        msg = f"metadata must be a mapping that JSON can hold: {error}"
        raise ConfigError(msg) from error
