"""How a session comes to be: new, resumed, or forked from another."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, cast

import attrs

from caw_core.agent_turns import AgentTurns
from caw_core.bounded import call_within
from caw_core.children import Subagents
from caw_core.chosen_listeners import ChosenListeners
from caw_core.clock import utc_now
from caw_core.errors import ConfigError, PersistError, ProviderError, UnsupportedError
from caw_core.fallback import OpenedInstead
from caw_core.handles import check_new_session_id, new_session_id
from caw_core.handoff import marked
from caw_core.history import repaired
from caw_core.leases import SessionLeases
from caw_core.permissions import PermissionDesk
from caw_core.provider import ForkableSession, ResumeRequest, StartRequest
from caw_core.redaction import Redactor, session_secrets
from caw_core.session import Session
from caw_core.session_core import SessionCore
from caw_core.settings import check_metadata
from caw_core.tool_serving import OpenTools
from caw_core.trajectory import SessionInfo, Trajectory
from caw_core.turn_ending import placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from caw_core.chosen_plugins import ChosenPlugins
    from caw_core.fallback import Fallback
    from caw_core.handoff import Inheritance
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import NativeSession, ProviderSession
    from caw_core.provider_settings import ProviderSettings
    from caw_core.trajectory import Turn


class SessionOpener:
    """Opens sessions of one provider with one agent's settings.

    Each way holds to one order: check the options, take the lease, read the record, ask the
    provider, write the head of the record. What fails undoes what came before it.
    """

    def __init__(
        self, plugins: AgentPlugins, given: ProviderSettings, chosen: ChosenPlugins
    ) -> None:
        self._plugins = plugins
        self._settings = given.settings
        self._left = given.left
        self.chosen = chosen

    def start(
        self,
        session_id: str | None,
        metadata: Mapping[str, Any] | None,
        fallback: Fallback | None = None,
    ) -> Session:
        """Open a new session; see `caw_core.Agent.start_session`.

        Args:
            session_id: its id; None for a new one.
            metadata: added to the agent's own.
            fallback: who takes the first turn over if this provider cannot.
        """
        plugins = self._plugins
        new_id = new_session_id() if session_id is None else check_new_session_id(session_id)
        request = self._settings.request(plugins.info, new_id)
        with self._leased(new_id) as leases:
            self._refuse_existing(session_id)
            info = self._head(request, metadata)
            core = self._open(info, (), request, leases, plugins.start_session)
            if fallback is not None:
                fallback.attach(core)
            return Session(core)

    def resume(self, session_id: str, key: str, metadata: Mapping[str, Any] | None) -> Session:
        """Continue a session; see `caw_core.Agent.resume_session`."""
        plugins = self._plugins
        self._settings.resolve(plugins.info)
        with self._leased(session_id) as leases:
            record = plugins.load_trajectory(session_id)
            request = self._settings.request(plugins.info, session_id, record)
            info = attrs.evolve(self._head(request, metadata, record), resume_key=key)
            turns = record.turns if record else ()

            def ask(request: StartRequest) -> ProviderSession:
                return plugins.resume_session(_resume_request(request, key, record))

            return Session(self._open(info, turns, request, leases, ask))

    def take_over(self, native: NativeSession, metadata: Mapping[str, Any] | None) -> Session:
        """Continue a conversation of the agent's own; see `caw_core.Agent.resume_session`."""
        plugins = self._plugins
        new_id = new_session_id()
        with self._leased(new_id) as leases:
            record = attrs.evolve(
                plugins.read_session(native, self._settings.extra), session_id=new_id
            )
            request = self._settings.request(plugins.info, new_id, record)
            info = attrs.evolve(
                self._head(request, metadata, record),
                resume_key=native.resume_key,
            )

            def ask(request: StartRequest) -> ProviderSession:
                return plugins.resume_session(_resume_request(request, native.resume_key, record))

            core = self._open(info, record.turns, request, leases, ask)
        return _with_history_stored(core)

    def fork(
        self,
        parent: SessionCore,
        session_id: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> Session:
        """Open a session that begins with another's history; see `Session.fork`."""
        plugins = self._plugins
        capabilities = plugins.info.capabilities
        if not capabilities & {"fork", "record_resume"}:
            msg = f"the provider {plugins.info.name!r} cannot fork a session"
            raise UnsupportedError(msg, provider=plugins.info.name, options=("fork",))
        new_id = new_session_id() if session_id is None else check_new_session_id(session_id)
        request = attrs.evolve(
            parent.tools.taken_from(parent.request),
            session_id=new_id,
            permission_desk=PermissionDesk(self._settings.on_permission),
            agent_turns=AgentTurns(),
        )
        history = parent.trajectory
        with self._leased(new_id) as leases:
            self._refuse_existing(session_id)
            info = attrs.evolve(
                self._head(request, metadata, history),
                created_at=utc_now(),
                forked_from=parent.info.session_id,
            )

            def ask(request: StartRequest) -> ProviderSession:
                if "fork" in capabilities:
                    return cast("ForkableSession", parent.link.session()).fork(request)
                record = Trajectory.of(info, history.turns)
                return plugins.resume_session(_resume_request(request, new_id, record))

            core = self._open(info, history.turns, request, leases, ask)
        # With several storages, one of them may lack turns of a session that was resumed.
        return _with_history_stored(core, parent if len(plugins.storages) == 1 else None)

    def continue_with(
        self,
        inheritance: Inheritance,
        session_id: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> Session:
        """Open a session that begins with another provider's; see `Session.handoff`."""
        plugins = self._plugins
        new_id = new_session_id() if session_id is None else check_new_session_id(session_id)
        record, told = inheritance.record, inheritance.told
        # Model and effort were the other provider's.
        request = self._settings.request(
            plugins.info, new_id, attrs.evolve(record, model="", reasoning="")
        )
        if inheritance.how == "native":
            request = attrs.evolve(request, history=told)
        with self._leased(new_id) as leases:
            self._refuse_existing(session_id)
            head = self._head(request, metadata, record)
            info = marked(attrs.evolve(head, created_at=utc_now()), inheritance)

            def ask(request: StartRequest) -> ProviderSession:
                if inheritance.how == "replay":
                    return plugins.resume_session(_resume_request(request, new_id, told))
                return plugins.start_session(request)

            core = self._open(info, record.turns, request, leases, ask)
        return _with_history_stored(core)

    def open_instead(self, core: SessionCore) -> OpenedInstead:
        """Open the agent's side of a new session, in which nothing was done yet, anew.

        Raises:
            ConfigError: the provider does not take the agent's options.
            ProviderError: the agent could not be started.
        """
        plugins = self._plugins
        options = self._settings.resolve(plugins.info)
        asked = self._settings.request(plugins.info, core.info.session_id)
        request = attrs.evolve(
            core.tools.taken_from(core.request),
            model=asked.model,
            reasoning=asked.reasoning,
            options=asked.options,
            agent_turns=asked.agent_turns,
        )
        core.redactor.add(*session_secrets({}, request, ()))
        info = attrs.evolve(core.info, provider=plugins.info.name)
        given = self._settings.python_tools
        subagents = Subagents(given.subagents)
        # The one before may have taken no tools at all.
        tools = OpenTools.open(plugins, given, request, core.redactor, subagents)
        try:
            request = tools.added_to(request)
            agent = self._ask(info, lambda: plugins.start_session(request))
        except BaseException as error:
            tools.close()
            core.redactor.error(error)
            raise
        subagents.attach(core)
        return OpenedInstead(
            opener=self,
            plugins=plugins,
            settings=self._settings,
            agent=agent,
            tools=tools,
            request=request,
            options=options,
            left=self._left,
        )

    @contextlib.contextmanager
    def _leased(self, session_id: str) -> Iterator[SessionLeases]:
        leases = SessionLeases(session_id, self._plugins.lease_session(session_id))
        try:
            yield leases
        except BaseException:
            leases.release()
            raise

    def _refuse_existing(self, session_id: str | None) -> None:
        if session_id is not None and self._plugins.load_trajectory(session_id) is not None:
            msg = f"there is a session {session_id!r} already; resume it, or choose another id"
            raise ConfigError(msg)

    def _head(
        self,
        request: StartRequest,
        metadata: Mapping[str, Any] | None,
        record: Trajectory | None = None,
    ) -> SessionInfo:
        before = dict(record.metadata) if record else {}
        return SessionInfo(
            session_id=request.session_id,
            provider=self._plugins.info.name,
            model=request.model or "",
            created_at=record.created_at if record and record.created_at else utc_now(),
            system_prompt=request.system_prompt,
            reasoning=request.reasoning or "",
            cwd=str(request.cwd),
            permissions=request.permissions,
            forked_from=record.forked_from if record else "",
            metadata={**before, **self._settings.metadata, **check_metadata(metadata or {})},
            extra=record.extra if record else {},
        )

    def _open(
        self,
        info: SessionInfo,
        turns: Sequence[Turn],
        request: StartRequest,
        leases: SessionLeases,
        ask: Callable[[StartRequest], ProviderSession],
    ) -> SessionCore:
        options = self._settings.resolve(self._plugins.info)
        servers = self._settings.given.get("mcp_servers", ())
        redactor = Redactor(session_secrets(os.environ, request, servers))
        listeners = ChosenListeners.now(self._settings.display, self._settings.logger)
        given = self._settings.python_tools
        subagents = Subagents(given.subagents)
        tools = OpenTools.open(self._plugins, given, request, redactor, subagents)
        try:
            request = tools.added_to(request)
            agent_session = self._ask(info, lambda: ask(request))
        except BaseException as error:
            tools.close()
            redactor.error(error)
            raise
        core = SessionCore(
            opener=self,
            plugins=self._plugins,
            settings=self._settings,
            agent_session=agent_session,
            info=info,
            turns=turns,
            request=request,
            options=options,
            leases=leases,
            redactor=redactor,
            tools=tools,
            listeners=listeners,
        )
        subagents.attach(core)
        core.tell(*self._left)
        failures = core.recorder.record_head(core.info)
        if failures:
            agent_session.close()
            tools.close()
            msg = "the session was not opened: a storage refused it"
            raise PersistError(msg, failures)
        return core

    def reopen(self, request: StartRequest, key: str, record: Trajectory) -> ProviderSession:
        """Have the provider continue a session whose own side was lost."""
        resume = _resume_request(request, key, record)
        return self._ask(record, lambda: self._plugins.resume_session(resume))

    def _ask(self, info: SessionInfo, ask: Callable[[], ProviderSession]) -> ProviderSession:
        seconds = self._settings.deadlines.start
        try:
            return call_within(seconds, "start", ask, lambda late: late.close())
        except ProviderError as error:
            placed(error, info)
            raise


def _with_history_stored(core: SessionCore, parent: SessionCore | None = None) -> Session:
    before = (parent.recorder, parent.info.session_id) if parent else ()
    try:
        core.recorder.record_history(core.info, core.trajectory.turns, *before)
    except PersistError:
        core.end_unattended()
        raise
    return Session(core)


def _resume_request(request: StartRequest, key: str, record: Trajectory | None) -> ResumeRequest:
    record = record and attrs.evolve(record, turns=repaired(record.turns))
    fields = {field.name: getattr(request, field.name) for field in attrs.fields(StartRequest)}
    fields["history"] = None
    return ResumeRequest(**fields, resume_key=key, trajectory=record)
